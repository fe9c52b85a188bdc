"""Maps of one molecule whose frames have come apart, and that are laid so that most of it stands still."""

import pytest
import torch

from hypermol.imaging import rotvec_to_matrix
from hypermol.maps import laid_onto, laid_still, transform_map

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


def test_maps_laid_on_one_that_stays_do_not_depend_on_each_other():
    axis = torch.tensor([0.3, -0.5, 0.8], dtype=torch.float64)
    turned = torch.stack([transform_map(BODY + arm, rotvec_to_matrix(0.1 * axis), NOWHERE, False) for arm in ARMS])
    laid = laid_onto(turned, BODY + ARMS[1])
    torch.testing.assert_close(laid[1], BODY + ARMS[1], atol=0.01, rtol=0)
    assert (laid[0] - ARMS[0] - BODY).norm() < 0.1 * BODY.norm()
    torch.testing.assert_close(laid_onto(turned[:1], BODY + ARMS[1])[0], laid[0])
