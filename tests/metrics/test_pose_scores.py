"""Named pose errors, their summaries, and alignment per state: hand-solved cases, scipy, and what chance gives."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hypermol.errors import DataError
from hypermol.imaging import symmetry_rotations
from hypermol.metrics import nearest_equivalents, pose_errors, pose_scores, summarise


@pytest.fixture
def truth():
    return Rotation.random(3000, rng=np.random.default_rng(0)), np.random.default_rng(1).normal(size=(3000, 2))


@pytest.mark.parametrize(("angle", "norm"), [(0.0, 0.0), (60.0, np.sqrt(2)), (90.0, 2.0), (180.0, np.sqrt(8))])
def test_frobenius_norms_solved_by_hand(angle, norm):
    turned = Rotation.from_euler("x", angle, degrees=True).as_matrix()[None]
    found = pose_errors(turned, np.eye(3)[None])
    assert found.frobenius[0] == pytest.approx(norm, abs=1e-9)
    assert found.frobenius_squared[0] == pytest.approx(norm**2, abs=1e-9)
    assert found.frobenius[0] == pytest.approx(np.linalg.norm(turned[0] - np.eye(3)), abs=1e-9)
    assert found.direction_deg[0] == pytest.approx(angle, abs=1e-6)


def test_the_published_squared_norm_is_an_angle():
    """0.0004 as a square is 0.8°, as a norm it would be 0.016° (shared tables, Zhong et al. 2020)."""
    found = pose_errors(Rotation.from_euler("z", 0.81, degrees=True).as_matrix()[None], np.eye(3)[None])
    assert found.frobenius_squared[0] == pytest.approx(0.0004, rel=0.01)


def test_shift_in_pixels_and_what_is_named(truth):
    rotation, shift = truth[0].as_matrix(), truth[1]
    found = pose_errors(rotation, rotation, shift + np.array([3.0, 4.0]), shift, pixel_size=2.5)
    np.testing.assert_allclose(found.shift_px, 2.0)
    assert found.named()["shift in pixels"][0] == "px"
    assert set(pose_errors(rotation, rotation).named()) == {
        "rotation",
        "rotation, Frobenius norm",
        "rotation, squared Frobenius norm",
        "viewing direction",
    }


def test_summaries():
    found = summarise(np.arange(101.0), "°")
    assert (found.unit, found.median, found.mean, found.percentile_95) == ("°", 50.0, 50.0, 95.0)
    with pytest.raises(DataError, match="at least one value"):
        summarise(np.zeros(0))


def test_random_poses_give_what_chance_gives(truth):
    """E θ = π/2 + 2/π, E ‖R - R'‖² = 6, E of the direction's angle = 90° for uniform rotations."""
    other = Rotation.random(3000, rng=np.random.default_rng(9)).as_matrix()
    for scores in (pose_errors(other, truth[0].as_matrix()), pose_scores(other, truth[0].as_matrix()).overall):
        assert scores.rotation_deg.mean() == pytest.approx(np.rad2deg(np.pi / 2 + 2 / np.pi), abs=3)
        assert scores.frobenius_squared.mean() == pytest.approx(6.0, abs=0.15)
        assert scores.direction_deg.mean() == pytest.approx(90.0, abs=3)


def test_the_truth_has_no_error(truth):
    found = pose_scores(truth[0].as_matrix(), truth[0].as_matrix(), truth[1], truth[1], np.arange(3000) % 3, 2.0)
    for errors in (found.overall, found.per_state):
        assert max(summary.percentile_95 for summary in errors.summaries().values()) < 1e-5
    assert found.mirrored is False
    assert found.states_mirrored == {0: False, 1: False, 2: False}


def test_each_state_may_have_its_own_frame_and_hand(truth):
    rotation, shift = truth
    state = np.repeat([0, 1, 2], [2000, 995, 5])
    estimate, moved = rotation.as_matrix(), shift.copy()
    turn = Rotation.from_euler("x", 20, degrees=True)
    rows = state == 1
    estimate[rows] = (rotation[rows] * turn).as_matrix()
    moved[rows] -= (rotation[rows].as_matrix() @ [4.0, -2.0, 1.0])[:, :2]
    flip = np.diag([1.0, 1.0, -1.0])
    estimate[rows] = flip @ estimate[rows] @ flip
    found = pose_scores(estimate, rotation.as_matrix(), moved, shift, state, 1.5)
    assert found.mirrored is False
    assert found.states_mirrored == {0: False, 1: True}
    assert np.median(found.overall.rotation_deg[rows]) > 20
    assert found.per_state.rotation_deg[state < 2].max() < 1e-5
    assert found.per_state.shift[state < 2].max() < 1e-8
    # five particles are too few for a frame of their own
    np.testing.assert_allclose(found.per_state.rotation_deg[state == 2], found.overall.rotation_deg[state == 2])


def test_per_state_alignment_does_not_hide_errors(truth):
    """A frame per state has three angles and an origin: it takes off a thousandth of the error of 600 particles."""
    error = Rotation.from_rotvec(np.random.default_rng(3).normal(scale=0.1, size=(3000, 3)))
    noisy = (error * truth[0]).as_matrix()
    found = pose_scores(noisy, truth[0].as_matrix(), state=np.arange(3000) % 5)
    ratio = np.mean(found.per_state.frobenius_squared) / np.mean(
        pose_errors(noisy, truth[0].as_matrix()).frobenius_squared
    )
    assert 0.99 < ratio < 1.0


def test_wrong_poses_of_some_do_not_turn_the_frame_of_the_others(truth):
    """40 % of the poses and shifts at random: the others stay in place, where least squares would shift them all."""
    rotation, shift = truth[0][:400], 5 * truth[1][:400]
    frame = Rotation.from_rotvec([0.2, 1.0, -2.0])
    estimate = (rotation * frame).as_matrix()
    moved = shift - (rotation.as_matrix() @ [3.0, -1.0, 2.0])[:, :2]
    estimate[:160] = Rotation.random(160, rng=np.random.default_rng(5)).as_matrix()
    moved[:160] += np.random.default_rng(6).normal(scale=30, size=(160, 2))
    found = pose_scores(estimate, rotation.as_matrix(), moved, shift).overall
    plain, _ = Rotation.align_vectors(rotation.as_matrix().reshape(-1, 3), estimate.reshape(-1, 3))
    by_squares = pose_errors(estimate @ plain.as_matrix().T, rotation.as_matrix()).rotation_deg
    assert by_squares[160:].mean() > 1.0
    assert found.rotation_deg[160:].max() < 0.1
    assert found.shift[160:].max() < 0.5
    assert found.rotation_deg[:160].mean() > 90


def test_of_equal_poses_the_nearest_counts():
    """A pose and its equivalents under D3, one by one by scipy; a small turn stays the only difference."""
    group = symmetry_rotations("D3").numpy()
    rotation = Rotation.random(50, rng=np.random.default_rng(2))
    turn = Rotation.from_rotvec(np.random.default_rng(3).normal(0, 0.05, (50, 3)))
    chosen = Rotation.from_matrix(group[np.random.default_rng(4).integers(0, 6, 50)])
    target = turn * rotation * chosen
    found = Rotation.from_matrix(nearest_equivalents(rotation.as_matrix(), target.as_matrix(), group))
    np.testing.assert_allclose((found.inv() * target).magnitude(), turn.magnitude(), atol=1e-9)
    every = [(rotation * Rotation.from_matrix(element)).inv() * target for element in group]
    np.testing.assert_allclose(turn.magnitude(), np.min([one.magnitude() for one in every], axis=0), atol=1e-9)
