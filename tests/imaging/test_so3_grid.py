"""SO(3) grids: HEALPix against healpy, equal cells, nesting."""

import healpy
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hypermol.errors import ConfigError
from hypermol.imaging.rotations import geodesic_angle_deg, random_rotations, viewing_direction
from hypermol.imaging.so3_grid import (
    count,
    directions,
    in_plane_count,
    rotations_at,
    so3_grid,
    spacing_deg,
    subdivide,
)


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_directions_are_those_of_healpy(order):
    x, y, z = healpy.pix2vec(2**order, np.arange(12 * 4**order), nest=True)
    np.testing.assert_allclose(directions(order).numpy(), np.stack([x, y, z], axis=-1), atol=1e-12)


@pytest.mark.parametrize("order", [0, 1])
def test_rotations_composed_by_scipy(order):
    """Around the north pole the Hopf quaternion of (θ, φ, ψ) (Yershova et al. 2010, section 4; ψ about z first),
    around the south pole its mirror image, between plain Euler angles."""
    planes = in_plane_count(order)
    theta, phi = healpy.pix2ang(2**order, np.arange(12 * 4**order), nest=True)
    theta, phi = np.repeat(theta, planes), np.repeat(phi, planes)
    psi = np.tile((np.arange(planes) + 0.5) * 2 * np.pi / planes, 12 * 4**order)
    quaternion = np.stack(
        [
            np.sin(theta / 2) * np.sin(psi / 2 - phi),
            np.sin(theta / 2) * np.cos(psi / 2 - phi),
            np.cos(theta / 2) * np.sin(psi / 2),
            np.cos(theta / 2) * np.cos(psi / 2),
        ],
        axis=-1,
    )
    third = len(psi) // 3
    north = Rotation.from_quat(quaternion).inv().as_matrix()
    south = Rotation.from_euler("ZYZ", np.stack([phi, theta, psi + phi], axis=-1)).inv().as_matrix()
    equator = Rotation.from_euler("ZYZ", np.stack([phi, theta, psi], axis=-1)).inv().as_matrix()
    expected = np.concatenate([north[:third], equator[third : 2 * third], south[2 * third :]])
    np.testing.assert_allclose(so3_grid(order).numpy(), expected, atol=1e-12)


def test_sizes_and_views():
    assert [count(order) for order in range(3)] == [72, 576, 4608]
    grid = so3_grid(1)
    assert grid.shape == (576, 3, 3)
    assert grid.dtype == torch.float64
    view = viewing_direction(grid).reshape(48, 12, 3)
    torch.testing.assert_close(view, directions(1)[:, None].expand(48, 12, 3))
    assert spacing_deg(0) == 60
    assert spacing_deg(2) == 15


@pytest.mark.parametrize("order", [0, 1, 2])
def test_cells_are_equal_and_cover_everything(order):
    """Each rotation of a uniform sample is near one grid point, and all points get equal shares."""
    grid = so3_grid(order)
    sample = random_rotations(2000, torch.Generator().manual_seed(order), dtype=torch.float64)
    overlap = torch.einsum("nij,gij->ng", sample, grid)  # trace of the relative rotation
    nearest = overlap.argmax(-1)
    distance = geodesic_angle_deg(sample, grid[nearest])
    assert float(distance.max()) < 62.0 / 2**order
    assert float(distance.mean()) < 32.0 / 2**order
    if order == 0:
        share = torch.bincount(nearest, minlength=72) / 2000 * 72
        assert 0.4 < float(share.min()) <= float(share.max()) < 1.7


@pytest.mark.parametrize("order", [0, 1, 2])
def test_children_tile_their_parents(order):
    parents = torch.arange(count(order))
    children = subdivide(parents, order)
    assert children.shape == (len(parents), 8)
    assert torch.equal(children.flatten().sort().values, torch.arange(count(order + 1)))
    own = rotations_at(parents, order)[:, None]
    offspring = rotations_at(children, order + 1)
    assert float(geodesic_angle_deg(own, offspring).max()) < 44.0 / 2**order
    mean = viewing_direction(offspring).mean(1)
    mean = torch.nn.functional.normalize(mean, dim=-1)
    angle = torch.rad2deg((mean - viewing_direction(own[:, 0])).norm(dim=-1))
    assert float(angle.max()) < 8.0 / 2**order
    assert subdivide(parents[:0], order).shape == (0, 8)


def test_impossible_orders_and_indices_are_refused():
    for order in (-1, 10):
        with pytest.raises(ConfigError, match=f"order from 0 to 9, found {order}"):
            so3_grid(order)
    with pytest.raises(ConfigError, match="0 … 71"):
        rotations_at(torch.tensor([72]), 0)
