"""Poses and map of a rigid molecule: from a rough map, from wrong poses, and from nothing at all."""

import numpy as np
import pytest
from unposed import hide_poses

from hypermol.errors import ConfigError
from hypermol.maps import align_maps, low_pass, read_map, write_map
from hypermol.methods import configured, find_method, rebuild, train
from hypermol.metrics import fsc, pose_scores
from hypermol.particles import read_particles
from hypermol.simulation import Recipe, Truth, simulate
from hypermol.validation import validate_run
from hypermol.validation.evaluate import map_figures, pose_figures


@pytest.fixture(scope="module")
def molecule(tmp_path_factory):
    """Images whose file says nothing of poses, and a rough map to begin from."""
    folder = tmp_path_factory.mktemp("refine")
    simulate(Recipe(name="homogeneous", n=800, box=32, snr=0.5, shift_px=2.0, seed=12), folder)
    truth = Truth.load(folder)
    hide_poses(folder)
    write_map(folder / "rough.mrc", low_pass(truth.map(0).float(), 3.0, 20.0), truth.pixel_size)
    return folder, truth


def errors(run, truth):
    found = run.estimates()
    return pose_scores(found["rotation"], truth.rotation, found["shift"], truth.shift, pixel_size=truth.pixel_size)


def likeness(run, truth):
    """Shells up to which the map agrees with the truth (FSC 0.5), once laid onto it."""
    exact = truth.map(0).float()
    aligned = align_maps(read_map(run.volumes / "consensus.mrc")[0], exact).aligned
    return int((fsc(aligned, exact, truth.mask().float()) > 0.5).int().cumprod(0).sum()) - 1


def test_a_rough_map_is_enough_to_find_every_pose(molecule, tmp_path):
    folder, truth = molecule
    settings = {"reference": str(folder / "rough.mrc"), "search_passes": 2, "local_passes": 1}
    run = train(folder / "unposed.star", configured(find_method("refine"), settings), tmp_path / "run", seed=0)
    found = errors(run, truth).overall
    assert np.median(found.rotation_deg) < 4
    assert np.median(found.shift_px) < 0.3
    assert likeness(run, truth) >= 12
    metric = run.metrics()["resolution_corrected"]
    assert "independence: models" in metric["how"]
    assert metric["value"] < 14
    assert rebuild(run).map_of(3).shape == (32, 32, 32)
    posed = read_particles(run.path / "particles.star", datadir=folder)
    np.testing.assert_allclose(posed.rotation, run.estimates()["rotation"], atol=1e-5)
    figures = map_figures(rebuild(run), truth, 2, lambda done, total: None)
    assert figures["FSC of consensus map, whole map"]["value"] > 0.7
    assert pose_figures(rebuild(run), truth)["median rotation error"]["value"] == np.median(found.rotation_deg)
    with pytest.raises(ConfigError, match="frames of their own"):
        validate_run(run)


def test_given_poses_are_made_better(molecule, tmp_path):
    folder, truth = molecule
    settings = {"search_passes": 0, "local_passes": 2}
    run = train(folder / "particles.star", configured(find_method("refine"), settings), tmp_path / "run", seed=0)
    assert np.median(errors(run, truth).overall.rotation_deg) < 3


@pytest.mark.slow
def test_a_map_and_poses_from_images_alone(molecule, tmp_path):
    folder, truth = molecule
    settings = {"starts": 2, "images": 3000, "first_shells": 7, "last_shells": 9, "batch_size": 200}
    settings |= {"search_passes": 2, "local_passes": 1}
    run = train(folder / "unposed.star", configured(find_method("abinitio"), settings), tmp_path / "run", seed=0)
    assert np.median(errors(run, truth).overall.rotation_deg) < 5
    assert likeness(run, truth) >= 11
    assert any("was chosen" in row.get("text", "") for row in run.log())


def test_without_poses_and_without_a_map_there_is_nothing_to_refine(molecule, tmp_path):
    folder, _ = molecule
    with pytest.raises(ConfigError, match="abinitio"):
        train(folder / "unposed.star", find_method("refine"), tmp_path / "run", seed=0)
