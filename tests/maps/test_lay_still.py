"""Maps of one molecule whose frames have come apart, and that are laid so that most of it stands still."""

import itertools

import pytest
import torch

from hypermol.imaging import geodesic_angle_deg, rebox, rotvec_to_matrix, so3_grid, spacing_deg
from hypermol.maps import StillFrames, laid_still, other_hand, transform_map
from hypermol.maps.far_frames import far_frames

NOWHERE = torch.zeros(3, dtype=torch.float64)


def blobs(*places, width=2.0):
    axis = torch.arange(24) - 12.0
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    return sum(torch.exp(-((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / (2 * width**2)) for a, b, c in places)


BODY = blobs((0, 0, 0), (4, 1, -3), (-4, 4, 2), (-3, -4, -4), (2, -3, 4))
ARMS = [blobs((7, y, 2)) for y in (2, 4, 6)]


@pytest.mark.parametrize("shifts", [False, True])
def test_most_of_the_molecule_is_laid_on_itself(shifts):
    """A body with an arm that moves: the frames that are found are those of the body, in which the arm still moves."""
    family = torch.stack([BODY + arm for arm in ARMS])
    axis, step = torch.tensor([0.3, -0.5, 0.8], dtype=torch.float64), torch.tensor([0.4, 0.0, -0.3]).double() * shifts
    drifted = [transform_map(m, rotvec_to_matrix(0.1 * k * axis), k * step, False) for k, m in zip((-1, 0, 1), family)]
    laid = laid_still(torch.stack(drifted), shifts=shifts)
    bodies = [map_ - arm for map_, arm in zip(laid, ARMS)]
    for body in (bodies[0], bodies[2]):
        assert (body - bodies[1]).norm() < 0.15 * BODY.norm()
    assert (drifted[0] - drifted[2] - (ARMS[0] - ARMS[2])).norm() > 0.3 * BODY.norm()
    assert (laid[0] - laid[2]).norm() > 0.8 * (ARMS[0] - ARMS[2]).norm()


def test_maps_that_lie_still_stay():
    family = torch.stack([BODY + arm for arm in ARMS])
    assert (laid_still(family) - family).norm() < 0.03 * family.norm()
    same = torch.stack([BODY, BODY])
    torch.testing.assert_close(laid_still(same), same, atol=1e-3, rtol=0)


def test_frames_far_apart_and_the_other_hand_are_found():
    """Two states of two maps each, one state in a frame and hand far from the other's, and one map half way between
    the states as they came, which is like both in either's frame."""
    first, last = BODY + ARMS[0], BODY + ARMS[1]
    far = other_hand(transform_map(last, rotvec_to_matrix(torch.tensor([1.1, -0.7, 1.6]).double()), NOWHERE))
    came = [first, first, (first + far) / 2, far, far]
    laid = laid_still(torch.stack(came))
    apart = (first - last).abs().sum()
    assert (laid[0] - laid[1]).abs().sum() < 0.05 * apart
    assert 0.5 * apart < (laid[0] - laid[-1]).abs().sum() < 1.5 * apart
    assert (torch.stack(came)[0] - came[-1]).abs().sum() > 3 * apart


def test_another_map_is_laid_by_itself():
    family = torch.stack([BODY + arm for arm in ARMS])
    frames = StillFrames(family)
    axis = torch.tensor([0.3, -0.5, 0.8], dtype=torch.float64)
    turned = transform_map(BODY + ARMS[1], rotvec_to_matrix(0.1 * axis), NOWHERE)
    assert (frames.onto(turned, [0, 1]) - frames.laid[1]).norm() < 0.05 * BODY.norm()


def test_far_frames_are_the_best_of_a_grid():
    """A map of the grid is found again, the placements are apart, and the other hand is taken where it fits."""
    goal = transform_map(BODY, so3_grid(2)[1234], NOWHERE)
    found = far_frames(BODY, goal)
    assert len(found) == 6
    rotation, mirrored = found[0]
    assert not mirrored
    assert float(geodesic_angle_deg(rotation, so3_grid(2)[1234])) < spacing_deg(2)
    for first, second in itertools.combinations([one for one, hand in found if not hand], 2):
        assert float(geodesic_angle_deg(first, second)) > spacing_deg(2)
    rotation, mirrored = far_frames(BODY, other_hand(goal))[0]
    assert mirrored
    laid = transform_map(BODY, rotation, NOWHERE, mirrored)
    assert (laid - other_hand(goal)).norm() < 0.1 * BODY.norm()


def test_large_maps_are_laid_by_frames_of_small_ones():
    """In a box of twice the size: the same frames, shifts in its own pixels."""
    step = torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64)
    turn = rotvec_to_matrix(torch.tensor([0.1, -0.2, 0.15]).double())
    came = [rebox(one, 48) for one in (BODY + ARMS[1], transform_map(BODY + ARMS[1], turn, step))]
    frames = StillFrames(torch.stack(came), shifts=True)
    assert frames.laid.shape == (2, 48, 48, 48)
    assert (frames.laid[0] - frames.laid[1]).norm() < 0.05 * frames.laid[0].norm()
    assert (came[0] - came[1]).norm() > 0.3 * came[0].norm()
    assert frames.turned_deg > 5
    assert frames.mirrored == 0
