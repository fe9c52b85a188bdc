"""Volumes, poses and z of a small hinge from their joint posterior."""

import dataclasses

import numpy as np
import pytest
import torch
from small import hinge, spearman

from hypermol.errors import ConfigError
from hypermol.imaging import rotvec_to_matrix
from hypermol.maps import read_map
from hypermol.methods import configured, find_method, rebuild, train
from hypermol.methods.hyper_molecule_results import _mean_rotation
from hypermol.metrics import pose_scores
from hypermol.testing import small_context

FAST = {"sampler.chains": 1, "sampler.moves": 2, "sampler.jumps": 0, "start_deg": 6.0, "volume.motion": 0.3}
SHORT = {**FAST, "volume.shells": 5, "volume.degree": 1, "find_passes": 26, "settle_passes": 4, "samples": 8}


def errors(run, truth):
    found = run.estimates()
    return pose_scores(found["rotation"], truth.rotation, found["shift"], truth.shift, pixel_size=truth.pixel_size)


def test_a_hinge_from_poses_that_are_off(tmp_path):
    """Chains begin 6° from the poses about each axis: 9° in all, in the median."""
    truth = hinge(tmp_path, 160, 16, 8.0, 30)
    run = train(tmp_path / "particles.star", configured(find_method("hyper-molecule"), SHORT), tmp_path / "run")
    found = run.estimates()
    assert np.median(errors(run, truth).overall.rotation_deg) < 7
    assert spearman(run, truth) > 0.45  # of 160 values at random: under 0.4
    assert found["z_covariance"].shape == (160, 1, 1)
    assert found["rotation_covariance"].shape == (160, 3, 3)
    assert np.abs(found["z"]).max() <= 1
    assert 0.1 < run.metrics()["accepted_rotation"]["value"] < 0.6
    trained = rebuild(run, "cpu")
    torch.testing.assert_close(trained.decode(None)[0], read_map(run.volumes / "consensus.mrc")[0])
    ends = trained.decode(torch.tensor([[-0.8], [0.8]]))
    assert (ends[0] - ends[1]).abs().max() > 3 * read_map(run.volumes / "deviation.mrc")[0].mean()


def test_what_cannot_be_is_refused():
    method = find_method("hyper-molecule")
    with pytest.raises(ConfigError, match="a circle has two coordinates"):
        configured(method, {"volume.domain": "circle"})
    configured(method, {"volume.domain": "circle", "z_dim": 2})
    unposed = dataclasses.replace(small_context(), consensus=None)
    with pytest.raises(ConfigError, match="these particles have no poses"):
        configured(method, {"start": "given"}).program(unposed)
    names = [phase.name for phase in method.program(unposed).phases]
    assert names[0].startswith("start 1 of 3")  # a search comes first
    assert names[-4:] == ["begin", "find", "settle", "sample"]


def test_mean_of_rotations_and_their_spread():
    """Turns about one axis by ±6° have their mean in the middle, and a covariance of 36 degrees² along it."""
    frame = rotvec_to_matrix(torch.tensor([0.3, -0.2, 1.0], dtype=torch.float64))[None]
    turn = torch.zeros(1, 2, 3, dtype=torch.float64)
    turn[0, :, 1] = torch.deg2rad(torch.tensor([14.0, 2.0]))
    mean, spread = _mean_rotation(turn, frame)
    middle = rotvec_to_matrix(torch.deg2rad(torch.tensor([[0.0, 8.0, 0.0]], dtype=torch.float64))) @ frame
    torch.testing.assert_close(mean, middle)
    torch.testing.assert_close(spread[0], torch.diag(torch.tensor([0.0, 36.0, 0.0], dtype=torch.float64)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [30])
def test_more_particles_order_the_hinge(tmp_path, seed):
    """250 particles, quadratic in z: from 9° to some 3.4°, |Spearman| 0.86."""
    truth = hinge(tmp_path, 250, 16, 8.0, seed)
    settings = {**FAST, "volume.shells": 6, "find_passes": 25, "settle_passes": 8, "samples": 12}
    run = train(tmp_path / "particles.star", configured(find_method("hyper-molecule"), settings), tmp_path / "run")
    assert spearman(run, truth) > 0.75
    assert np.median(errors(run, truth).overall.rotation_deg) < 4.5
