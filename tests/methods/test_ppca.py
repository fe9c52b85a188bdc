"""Principal volumes: motion found where there is one, none where there is none, contrast, and rebuilding."""

import shutil

import numpy as np
import pytest
import torch

from hypermol.errors import ConfigError
from hypermol.maps import read_map, write_map
from hypermol.methods import configured, find_method, rebuild, train
from hypermol.methods.near import NearbyImages
from hypermol.methods.principal_volumes import once_seen
from hypermol.metrics import best_direction, fsc, fsc_mean
from hypermol.runs import Run
from hypermol.simulation import Recipe, Truth, simulate


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ppca")
    simulate(Recipe(name="hinge", n=1500, box=32, snr=0.5, seed=4), folder / "data")
    return train(folder / "data" / "particles.star", find_method("ppca"), folder / "run", seed=0), folder / "data"


def test_finds_the_hinge_and_maps_that_move_with_it(moving):
    run, data = moving
    truth, trained = Truth.load(data), rebuild(run)
    z = trained.latent()
    assert 1 <= z.shape[1] <= 4
    assert best_direction(z, truth.conformation[:, 0], truth.half == 0).spearman > 0.9
    mask, mean = truth.mask().float(), truth.mean_map().float()
    ends = [int(truth.conformation[:, 0].argmin()), int(truth.conformation[:, 0].argmax())]
    for particle in ends:
        exact = truth.map(particle).float()
        at_z, consensus = (fsc_mean(fsc(m.float(), exact, mask)) for m in (trained.map_of(particle), mean))
        assert at_z > consensus


def test_writes_what_a_user_expects(moving):
    run, _ = moving
    estimates = run.estimates()
    count = estimates["z"].shape[1]
    assert estimates["z_covariance"].shape == (1500, count, count)
    np.testing.assert_allclose(estimates["z"].mean(0), 0, atol=0.1)
    spread = np.cov(estimates["z"].T).reshape(count, count) + estimates["z_covariance"].mean(0)
    np.testing.assert_allclose(spread, np.eye(count), atol=0.15)
    for name in ("consensus", "component-1", "half1", "half2", "mask"):
        assert read_map(run.volumes / f"{name}.mrc")[0].shape == (32, 32, 32)
    components = torch.stack([read_map(run.volumes / f"component-{c + 1}.mrc")[0] for c in range(count)]).flatten(1)
    overlap = components @ components.T
    assert (overlap.diagonal().diff() <= 0).all()
    off = overlap - torch.diag(overlap.diagonal())
    assert off.abs().max() < 0.1 * overlap.diagonal().max()
    assert "resolution_component-1" in run.metrics()


def test_says_no_motion_of_a_rigid_molecule(tmp_path):
    simulate(Recipe(name="homogeneous", n=1000, box=32, snr=0.5, seed=1), tmp_path / "data")
    run = train(tmp_path / "data" / "particles.star", find_method("ppca"), tmp_path / "run", seed=0)
    assert "z" not in run.estimates()
    assert any("no motion found" in row.get("text", "") for row in run.log())


def test_components_asked_for_are_kept_when_nothing_is_chosen(moving, tmp_path):
    _, data = moving
    method = configured(find_method("ppca"), {"z_dim": 2, "choose": False, "passes": 4, "march_passes": 3})
    run = train(data / "particles.star", method, tmp_path / "run", seed=0)
    assert run.estimates()["z"].shape == (1500, 2)


def test_maps_from_the_images_near_z_are_closer_than_the_linear_reading(moving, tmp_path):
    run, data = moving
    truth, trained, nearby = Truth.load(data), rebuild(run), NearbyImages.of(run)
    mask, z = truth.moving_mask().float(), trained.latent()
    particle = int(np.argsort(truth.conformation[:, 0])[750])  # neighbours on both sides
    exact = truth.map(particle).float()
    resolved = nearby.write(tmp_path, "near", z[particle])
    near, linear = read_map(tmp_path / "near.mrc")[0], trained.map_of(particle)
    assert fsc_mean(fsc(near, exact, mask)) > fsc_mean(fsc(linear.float(), exact, mask))
    assert 12 <= resolved < 30
    assert read_map(tmp_path / "near-local-resolution.mrc")[0].max() > 10
    first, second = (read_map(tmp_path / f"near-half{h}.mrc")[0] for h in (1, 2))
    assert fsc(first, second, mask)[3] > 0.8


def test_maps_from_images_are_refused_where_there_is_no_z(tmp_path):
    simulate(Recipe(name="homogeneous", n=200, box=16, snr=0.5, seed=1), tmp_path / "data")
    run = train(tmp_path / "data" / "particles.star", find_method("backprojection"), tmp_path / "run", seed=0)
    with pytest.raises(ConfigError, match="no z"):
        NearbyImages.of(run)


@pytest.mark.parametrize(
    ("curve", "expected"),
    [([1, -0.1, 0.7, 0.5, 0.0], [1, 1, 0.7, 0.5, 0]), ([1, 0.0, 0.1, 0.0, 0.0], [1, 0, 0.1, 0, 0])],
)
def test_a_component_is_judged_from_where_it_is_first_seen(curve, expected):
    torch.testing.assert_close(once_seen(torch.tensor(curve).float()), torch.tensor(expected).float())


@pytest.mark.parametrize("name", ["ppca", "covariance"])
def test_a_mask_of_another_box_is_refused_before_any_work(name, moving, tmp_path):
    _, data = moving
    write_map(tmp_path / "mask.mrc", torch.ones(16, 16, 16), 1.0)
    method = configured(find_method(name), {"mask": str(tmp_path / "mask.mrc")})
    with pytest.raises(ConfigError, match="has a box of 16 px, expected the images' 32 px"):
        train(data / "particles.star", method, tmp_path / "run")


def test_a_mask_of_another_pixel_size_is_refused_and_no_folder_is_left(moving, tmp_path):
    _, data = moving
    write_map(tmp_path / "mask.mrc", torch.ones(32, 32, 32), 1.0)
    method = configured(find_method("ppca"), {"mask": str(tmp_path / "mask.mrc")})
    with pytest.raises(ConfigError, match="1 Å per pixel, expected the images'"):
        train(data / "particles.star", method, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_unfinished_run_says_how_to_go_on(moving, tmp_path):
    run, _ = moving
    shutil.copytree(run.path, tmp_path / "run")
    log = tmp_path / "run" / "log.jsonl"
    log.write_text("".join(line for line in log.read_text().splitlines(True) if '"finished"' not in line))
    with pytest.raises(ConfigError, match="has not finished; continue it with"):
        rebuild(Run.open(tmp_path / "run"))


def test_one_pass_of_each_kind_is_enough_to_end(moving, tmp_path):
    """The prior is learned at the end of the first phase, however short that is."""
    once = {"passes": 1, "march_passes": 1, "joint_passes": 1, "z_dim": 2, "choose": False}
    run = train(moving[1] / "particles.star", configured(find_method("ppca"), once), tmp_path / "run", seed=0)
    assert run.estimates()["z"].shape == (1500, 2)
