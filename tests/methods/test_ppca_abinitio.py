"""Principal volumes with poses that are not known, or known badly."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from small import hinge, spearman

from hypermol.errors import ConfigError
from hypermol.imaging import rotvec_to_matrix
from hypermol.maps import read_map
from hypermol.methods import configured, find_method, particles_left, posed_particles, rebuild, train
from hypermol.metrics import pose_scores
from hypermol.particles import read_particles, write_posed, write_selection
from hypermol.validation import validate_run

FILE = {"begin": "file", "conformations": 2, "volumes.z_dim": 3, "volumes.passes": 5, "volumes.march_passes": 3}


def median_deg(rotation: np.ndarray, truth) -> float:
    return float(np.median(pose_scores(rotation, truth.rotation).overall.rotation_deg))


@pytest.fixture(scope="module")
def from_poor_poses(tmp_path_factory):
    """A hinge whose file says poses that are off by 5°, and its run."""
    folder = tmp_path_factory.mktemp("posed")
    truth = hinge(folder / "data", n=600, box=24, snr=1.0, seed=3)
    particles = read_particles(folder / "data" / "particles.star")
    off = 0.05 * torch.randn(truth.count, 3, generator=torch.Generator().manual_seed(0))
    rotation = (rotvec_to_matrix(off).double() @ torch.from_numpy(truth.rotation).double()).numpy()
    write_posed(particles, rotation, np.asarray(particles.shift), folder / "data" / "poor.star")
    method = configured(find_method("ppca-abinitio"), FILE)
    return train(folder / "data" / "poor.star", method, folder / "run", seed=0), truth, rotation


def test_poor_poses_become_better_and_the_motion_is_found(from_poor_poses):
    run, truth, given = from_poor_poses
    found = run.estimates()
    assert median_deg(found["rotation"], truth) < 0.75 * median_deg(given, truth)
    assert spearman(run, truth) > 0.85


def test_maps_near_a_z_are_at_the_poses_found(from_poor_poses):
    run, truth, _ = from_poor_poses
    found = run.estimates()
    posed = posed_particles(run)
    np.testing.assert_allclose(posed.rotation, found["rotation"], atol=1e-6)
    np.testing.assert_allclose(posed.shift, found["shift"], atol=1e-5)
    written = read_particles(run.path / "particles.star", truth.folder)
    np.testing.assert_allclose(written.rotation, found["rotation"], atol=1e-4)
    map_, consensus = rebuild(run).map_of(0), read_map(run.volumes / "consensus.mrc")[0]
    assert float(torch.corrcoef(torch.stack([map_.flatten(), consensus.flatten()]))[0, 1]) > 0.8


def test_a_selection_has_the_poses_found(from_poor_poses):
    run, _, _ = from_poor_poses
    left = particles_left(run)
    np.testing.assert_allclose(left.rotation, run.estimates()["rotation"], atol=1e-4)
    write_selection(left, [3, 5], run.path / "two.star")
    two = read_particles(run.path / "two.star", Path(run.config["input"]["particles"]).parent)
    np.testing.assert_allclose(two.rotation, left.rotation[[3, 5]], atol=1e-6)


def test_it_is_not_validated_as_if_its_poses_were_given(from_poor_poses):
    run, _, _ = from_poor_poses
    with pytest.raises(ConfigError, match="finds poses"):
        validate_run(run)


def test_a_focus_mask_is_refused():
    method = find_method("ppca-abinitio")
    focused = dataclasses.replace(method, volumes=dataclasses.replace(method.volumes, mask="mask.mrc"))
    with pytest.raises(ConfigError, match=r"volumes\.mask"):
        focused.check()


@pytest.mark.slow
def test_from_images_alone(tmp_path):
    """Measured: |Spearman| 0.97, 1.9° with frames as found (seed 3)."""
    truth = hinge(tmp_path / "data", n=2000, box=32, snr=0.5, seed=3)
    star = tmp_path / "data" / "particles.star"
    run = train(star, configured(find_method("ppca-abinitio"), {"poses.starts": 1}), tmp_path / "run", seed=0)
    assert spearman(run, truth) > 0.93
    assert median_deg(run.estimates()["rotation"], truth) < 3.0
