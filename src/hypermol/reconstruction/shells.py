"""Radial means and radial profiles on the Fourier half grid of a box; shells are those of the box: round(|k| D)."""

from collections.abc import Iterable
from functools import lru_cache

import torch
from torch import Tensor

from hypermol.kernels import grid_shape
from hypermol.shapes import Float


def shell_means(planes: Iterable[Float[Tensor, "c y x"]], box: int, oversampling: int = 2) -> Float[Tensor, "c s"]:
    """Means over the nodes of each shell 0 … D/2 - 1 of C grids given plane by plane (z ascending), float64.

    A node with x > 0 stands for two. Plane by plane, so that no index as large as the grid is ever held.
    """
    shells = box // 2
    total = count = torch.zeros(0)
    for z, plane in enumerate(planes):
        if z == 0:
            total = plane.new_zeros((plane.shape[0], shells + 1), dtype=torch.float64)
            count = total.new_zeros(shells + 1)
        index = torch.round(_radius(z, box, oversampling).to(plane.device)).long().clamp(max=shells).flatten()
        twice = torch.full(plane.shape[1:], 2.0, dtype=torch.float64, device=plane.device)
        twice[:, 0] = 1.0
        total.index_add_(1, index, (plane.double() * twice).flatten(1))
        count.index_add_(0, index, twice.flatten())
    return (total / count.clamp(min=1))[:, :shells]


def shell_mean(values: Float[Tensor, "z y x"], box: int, oversampling: int = 2) -> Float[Tensor, " s"]:
    """``shell_means`` of one grid, [D/2]."""
    return shell_means(values[:, None], box, oversampling)[0]


def profile_plane(profile: Float[Tensor, " s"], z: int, box: int, oversampling: int = 2) -> Float[Tensor, "y x"]:
    """A profile given per shell, read at the nodes of plane ``z`` of the half grid.

    Linear between shells, constant from the last shell to radius D/2, 0 beyond.
    """
    radius = _radius(z, box, oversampling).to(profile.device)
    last = profile.shape[0] - 1
    low = radius.floor().clamp(max=last).long()
    high = (low + 1).clamp(max=last)
    step = (radius - low).clamp(0, 1).to(profile.dtype)
    value = profile[low] * (1 - step) + profile[high] * step
    return value * (radius <= box / 2)


def profile_volume(profile: Float[Tensor, " s"], box: int) -> Float[Tensor, "d d h"]:
    """A profile given per shell on the rfftn layout [D, D, D/2 + 1] of the box (origin first)."""
    planes = torch.stack([profile_plane(profile, z, box, oversampling=1) for z in range(box)])
    return torch.fft.ifftshift(planes, dim=(0, 1))


@lru_cache(maxsize=2)
def _in_plane(box: int, oversampling: int) -> Tensor:
    """Squared radius of the nodes of the plane z = 0, in shells²."""
    _, height, width = grid_shape(box, oversampling)
    y = (torch.arange(height, dtype=torch.float64) - height // 2) / oversampling
    x = torch.arange(width, dtype=torch.float64) / oversampling
    return y[:, None] ** 2 + x**2


def _radius(z: int, box: int, oversampling: int) -> Tensor:
    """Radius |k| D of the nodes of plane ``z``, [oD, oD/2 + 1] float64."""
    depth = grid_shape(box, oversampling)[0]
    return torch.sqrt(_in_plane(box, oversampling) + ((z - depth // 2) / oversampling) ** 2)
