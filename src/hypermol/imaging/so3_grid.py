"""Grids over SO(3): HEALPix viewing directions × in-plane angles (Yershova et al. 2010).

Order n has 12·4ⁿ directions and 6·2ⁿ in-plane angles: 72, 576, 4608, … rotations of equal volume. A rotation's
flat index is direction · (6·2ⁿ) + in-plane; directions are in HEALPix nested order, so that each cell of one
order is exactly eight cells of the next.

Where in-plane angles start is free at each direction, but no choice is smooth over the whole sphere. The Hopf
coordinates of the paper are smooth but at the south pole, where cells fall apart into distant children. Here the
start is chosen for each of HEALPix's twelve base pixels (Hopf's for the four around the north pole, its mirror
image around the south pole, none between), so that every cell is compact: what a branching search relies on.
"""

import math

import numpy as np
import torch
from torch import Tensor

from hypermol.errors import ConfigError
from hypermol.imaging.rotations import euler_to_matrix
from hypermol.shapes import Float, Int

_LARGEST_ORDER = 9  # 72·8⁹ rotations still fit an index of 64 bits many times over; memory does not


def directions(order: int) -> Float[Tensor, "n 3"]:
    """Unit vectors [12·4^order, 3] (float64), HEALPix nested order (Górski et al. 2005)."""
    theta, phi = _angles(torch.arange(12 * 4 ** _checked(order)), order)
    return torch.stack([torch.sin(theta) * torch.cos(phi), torch.sin(theta) * torch.sin(phi), torch.cos(theta)], dim=-1)


def so3_grid(order: int) -> Float[Tensor, "n 3 3"]:
    """All rotations [72·8^order, 3, 3] of an order (float64)."""
    return rotations_at(torch.arange(count(order)), order)


def rotations_at(indices: Int[Tensor, "*batch"], order: int) -> Float[Tensor, "*batch 3 3"]:
    """Rotations of flat indices in the grid of an order (float64). Raises ConfigError out of range."""
    total = count(order)
    if indices.numel() and not 0 <= int(indices.min()) <= int(indices.max()) < total:
        raise ConfigError(f"SO(3) grid of order {order}: indices must lie in 0 … {total - 1}")
    planes = in_plane_count(order)
    pixel = torch.div(indices, planes, rounding_mode="floor")
    theta, phi = _angles(pixel, order)
    psi = (torch.remainder(indices, planes).double() + 0.5) * (2 * math.pi / planes)
    base = torch.div(pixel, 4**order, rounding_mode="floor")  # 0-3 north, 4-7 equator, 8-11 south
    start = phi * (torch.div(base, 4, rounding_mode="floor") - 1)
    return euler_to_matrix(torch.rad2deg(phi), torch.rad2deg(theta), torch.rad2deg(psi + start))


def subdivide(indices: Int[Tensor, "*batch"], order: int) -> Int[Tensor, "*batch 8"]:
    """The eight cells at order + 1 that make up each cell: 4 directions × 2 in-plane angles."""
    planes = in_plane_count(order)
    direction = torch.div(indices, planes, rounding_mode="floor")[..., None, None]
    plane = torch.remainder(indices, planes)[..., None, None]
    four, two = torch.arange(4, device=indices.device)[:, None], torch.arange(2, device=indices.device)
    children = (4 * direction + four) * (2 * planes) + 2 * plane + two
    return children.flatten(-2)


def count(order: int) -> int:
    """Rotations of an order, 72·8^order. Raises ConfigError where the order is negative or beyond use."""
    return 72 * 8 ** _checked(order)


def in_plane_count(order: int) -> int:
    """In-plane angles of an order, 6·2^order."""
    return 6 * 2 ** _checked(order)


def spacing_deg(order: int) -> float:
    """In-plane step of an order, 60°/2^order; neighbouring directions are 58.6°/2^order apart on average."""
    return 360.0 / in_plane_count(order)


def _angles(pixels: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """Colatitude and azimuth (radians, float64) of nested HEALPix pixels."""
    import healpix

    theta, phi = healpix.pix2ang(2**order, pixels.cpu().numpy(), nest=True)
    theta, phi = np.asarray(theta, dtype=np.float64), np.asarray(phi, dtype=np.float64)
    return torch.from_numpy(theta).to(pixels.device), torch.from_numpy(phi).to(pixels.device)


def _checked(order: int) -> int:
    if 0 <= order <= _LARGEST_ORDER:
        return order
    raise ConfigError(f"SO(3) grid: expected an order from 0 to {_LARGEST_ORDER}, found {order}")
