import numpy as np
import pytest
import torch

from hypermol.errors import ConfigError, DataError
from hypermol.simulation import Recipe, Truth, rasterise_gaussians, simulate


def test_the_mean_map_is_the_mean_of_the_maps(hinge_truth):
    mean = hinge_truth.maps(np.arange(60)).mean(0)
    torch.testing.assert_close(hinge_truth.mean_map(), mean, atol=1e-4 * float(mean.max()), rtol=0)


def test_quadrature_of_a_large_set_is_the_mean_of_a_uniform_angle(hinge_truth):
    import dataclasses

    many = np.linspace(-30, 30, 20_000)[:, None]
    large = dataclasses.replace(
        hinge_truth,
        conformation=many,
        state=np.zeros(20_000, dtype=np.int64),
        rotation=np.tile(np.eye(3), (20_000, 1, 1)),
        junk=np.zeros(20_000, dtype=np.int8),
    )
    angles = np.linspace(-30, 30, 121)
    expected = torch.stack([hinge_truth.map_at(np.array([angle])) for angle in angles])
    expected = torch.trapezoid(expected, dim=0) / 120
    error = (large.mean_map() - expected).norm() / expected.norm()
    assert float(error) < 2e-3


def test_maps_differ_only_where_the_mask_of_the_moving_part_is(hinge_truth):
    ends = [hinge_truth.map_at(np.array([angle])) for angle in (-30.0, 0.0, 30.0)]
    moving = hinge_truth.moving_mask()
    for a, b in ((0, 1), (1, 2), (0, 2)):
        change = (ends[a] - ends[b]).square()
        assert float((change * moving.square()).sum() / change.sum()) > 0.98
    assert float(moving.min()) >= 0.0
    assert float(moving.max()) == 1.0
    assert float(moving.mean()) < 0.25


def test_the_mask_holds_the_molecule(hinge_truth):
    mask = hinge_truth.mask()
    for map_ in hinge_truth.maps(np.arange(3)):
        assert float((map_.square() * mask.square()).sum() / map_.square().sum()) > 0.98
    assert float((mask + 1e-3 >= hinge_truth.moving_mask()).double().mean()) > 0.999
    assert float(mask.mean()) < 0.35


def test_nothing_moves_in_a_homogeneous_set(tmp_path):
    truth = Truth.load(simulate(Recipe.named("homogeneous", n=4, box=32), tmp_path / "set"))
    assert truth.dim == 0
    with pytest.raises(ConfigError, match="no moving part"):
        truth.moving_mask()
    torch.testing.assert_close(truth.mean_map(), truth.map(2), atol=1e-5, rtol=1e-5)


def test_discrete_states_have_their_own_maps(tmp_path):
    truth = Truth.load(simulate(Recipe.named("discrete10", n=23, box=32), tmp_path / "set"))
    assert truth.conformation.shape == (23, 0)
    assert sorted(np.bincount(truth.state).tolist()) == [2] * 7 + [3] * 3
    torch.testing.assert_close(truth.map(5), truth.map_of_state(int(truth.state[5])))
    model = truth.motion.models[truth.state[5]]
    expected = rasterise_gaussians(
        model.coordinates[None], truth.scale * model.weight[None], 32, truth.pixel_size, truth.sigma
    )
    torch.testing.assert_close(truth.map(5), expected)
    weights = np.bincount(truth.state) / 23
    mean = sum(w * truth.map_of_state(s) for s, w in enumerate(weights))
    torch.testing.assert_close(truth.mean_map(), mean, atol=1e-5 * float(mean.max()), rtol=0)
    assert float(truth.moving_mask().mean()) == pytest.approx(float(truth.mask().mean()))


def test_a_folder_without_truth_says_so(tmp_path, hinge_folder):
    with pytest.raises(DataError, match=r"no truth\.npz"):
        Truth.load(tmp_path)
    (tmp_path / "truth.npz").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(DataError, match="not the truth"):
        Truth.load(tmp_path)
    (tmp_path / "truth.npz").write_bytes((hinge_folder / "truth.npz").read_bytes())
    with pytest.raises(DataError, match=r"motion\.npz"):
        Truth.load(tmp_path)
