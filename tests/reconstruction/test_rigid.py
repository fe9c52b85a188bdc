"""Rigid motion in components: what it is, and that it is taken out while what moves by itself stays."""

import torch

from hypermol.imaging import rotvec_to_matrix
from hypermol.maps import rigid_fields, transform_map
from hypermol.reconstruction import without_rigid_motion

BOX = 32


def blobs(*places, width=2.5):
    """Gaussians at places (x, y, z) from the middle."""
    axis = torch.arange(BOX) - BOX / 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    return sum(torch.exp(-((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / (2 * width**2)) for a, b, c in places)


BODY = blobs((0, 0, 0), (5, 1, -3), (-4, 5, 2), (-3, -5, -4), (2, -3, 5))


def test_fields_are_what_small_motions_change():
    fields, small = rigid_fields(BODY), 0.02
    for axis in range(3):
        unit = torch.eye(3)[axis]
        there, back = (transform_map(BODY, rotvec_to_matrix(s * small * unit), torch.zeros(3)) for s in (1, -1))
        torch.testing.assert_close(
            (there - back) / (2 * small), fields[axis], rtol=0, atol=0.03 * float(fields[axis].abs().max())
        )
        there, back = (transform_map(BODY, torch.eye(3), s * 0.1 * unit) for s in (1, -1))
        torch.testing.assert_close(
            (there - back) / 0.2, fields[3 + axis], rtol=0, atol=0.03 * float(fields[3 + axis].abs().max())
        )


def test_a_rigid_component_vanishes():
    component = torch.tensordot(torch.tensor([0.1, -0.2, 0.05, 0.3, 0.0, -0.1]), rigid_fields(BODY), 1)
    left = without_rigid_motion(torch.stack([BODY, component]))[1]
    assert left.norm() < 1e-3 * component.norm()


def test_what_moves_by_itself_stays_and_the_rest_stands_still():
    arm = blobs((9, 6, 0), width=2)
    mean = BODY + arm
    own = blobs((9, 7, 0), width=2) - blobs((9, 5, 0), width=2)
    turned = own + torch.tensordot(torch.tensor([0.02, -0.03, 0.05, 0.1, 0.2, 0.0]), rigid_fields(mean), 1)
    freed = without_rigid_motion(torch.stack([mean, turned]))[1]
    assert (freed - own).norm() < 0.1 * own.norm()
    assert (turned - own).norm() > 0.5 * own.norm()  # what it came with


def test_a_mean_alone_is_returned():
    assert without_rigid_motion(BODY[None]) is not None
    torch.testing.assert_close(without_rigid_motion(BODY[None])[0], BODY)
