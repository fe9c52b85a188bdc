import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hypermol.errors import DataError
from hypermol.metrics import align_poses, gain, pose_errors


def test_gain_of_curves_solved_by_hand():
    consensus = torch.tensor([1.0, 0.9, 0.8, 0.5, 0.0, 0.0, 0.0, 0.0])
    half_way = torch.tensor([1.0, 0.0, 0.9, 0.75, 0.0, 0.0, 0.0, 0.0])
    assert float(gain(half_way, consensus)) == pytest.approx(0.5)
    assert float(gain(torch.ones(8), consensus)) == pytest.approx(1.0)
    assert float(gain(consensus, consensus)) == pytest.approx(0.0)
    assert float(gain(torch.zeros(8), consensus)) == pytest.approx(((-0.8 / 0.2) + (-0.5 / 0.5)) / 2)


def test_gain_leaves_out_shells_that_are_already_right():
    consensus = torch.tensor([1.0, 1.0, 1.0, 0.5, 0.0, 0.0, 0.0, 0.0])
    found = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    assert float(gain(found, consensus)) == pytest.approx(1.0)
    assert torch.isnan(gain(torch.ones(8), torch.ones(8)))
    assert gain(torch.stack([found, consensus]), torch.stack([consensus, consensus])).shape == (2,)


@pytest.fixture
def poses():
    truth = Rotation.random(200, rng=np.random.default_rng(0))
    return truth, np.random.default_rng(1).uniform(-10, 10, size=(200, 2))


def test_errors_against_scipy(poses):
    truth, shift = poses
    error = Rotation.from_rotvec(np.random.default_rng(2).normal(scale=0.2, size=(200, 3)))
    found = pose_errors((error * truth).as_matrix(), truth.as_matrix(), shift + np.array([3.0, 4.0]), shift)
    np.testing.assert_allclose(found.rotation_deg, np.rad2deg(error.magnitude()), atol=1e-6)
    np.testing.assert_allclose(found.shift, 5.0)
    view, true_view = (error * truth).inv().apply([0, 0, 1]), truth.inv().apply([0, 0, 1])
    angle = np.rad2deg(np.arctan2(np.linalg.norm(np.cross(view, true_view), axis=1), np.sum(view * true_view, axis=1)))
    np.testing.assert_allclose(found.direction_deg, angle, atol=1e-6)


def test_in_plane_errors_do_not_change_the_direction(poses):
    truth, _ = poses
    turned = Rotation.from_euler("z", 30, degrees=True) * truth
    found = pose_errors(turned.as_matrix(), truth.as_matrix())
    np.testing.assert_allclose(found.rotation_deg, 30.0, atol=1e-6)
    np.testing.assert_allclose(found.direction_deg, 0.0, atol=1e-5)
    assert np.isnan(found.shift).all()


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_free_frame_is_found(poses, mirrored):
    truth, shift = poses
    frame = Rotation.from_rotvec([0.3, -1.1, 0.7])
    origin = np.array([5.0, -3.0, 2.0])
    estimate = (truth * frame).as_matrix()
    moved = shift - (truth.as_matrix() @ origin)[:, :2]
    if mirrored:
        flip = np.diag([1.0, 1.0, -1.0])
        estimate = flip @ estimate @ flip
    rotation, aligned, hand = align_poses(estimate, truth.as_matrix(), moved, shift, either_hand=True)
    assert hand is mirrored
    found = pose_errors(rotation, truth.as_matrix(), aligned, shift)
    assert found.rotation_deg.max() < 1e-5
    assert found.shift.max() < 1e-8


def test_alignment_does_not_hide_errors(poses):
    truth, _ = poses
    other = Rotation.random(200, rng=np.random.default_rng(9)).as_matrix()
    rotation, shift, hand = align_poses(other, truth.as_matrix())
    assert shift is None
    assert hand is False
    assert np.median(pose_errors(rotation, truth.as_matrix()).rotation_deg) > 60


def test_no_poses_are_refused():
    with pytest.raises(DataError, match="at least one pose"):
        align_poses(np.zeros((0, 3, 3)), np.zeros((0, 3, 3)))
