"""Radial means and radial profiles on the Fourier half grid of a box; shells are those of the box: round(|k| D).

Grids are walked slab by slab (a few million nodes), so that nothing as large as a grid is made beside it; the radius of
a node is looked up by its square, a whole number.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from hypermol.kernels import grid_shape
from hypermol.shapes import Float

_SLAB_NODES = 1 << 21


def slabs(box: int, oversampling: int = 2) -> Iterator[slice]:
    """The planes of a half grid, some at a time."""
    depth, height, width = grid_shape(box, oversampling)
    step = max(1, _SLAB_NODES // (height * width))
    for z in range(0, depth, step):
        yield slice(z, min(z + step, depth))


def shell_means(
    values: Callable[[slice], Float[Tensor, "c z y x"]], box: int, oversampling: int = 2
) -> Float[Tensor, "c s"]:
    """Means over the nodes of each shell 0 … D/2 - 1 of C grids, given slab by slab by ``values``; float64.

    A node with x > 0 stands for two.
    """
    shells, total, count = box // 2, torch.zeros(0), torch.zeros(0)
    for slab in slabs(box, oversampling):
        grids = values(slab)
        if slab.start == 0:
            total = grids.new_zeros((grids.shape[0], shells + 1), dtype=torch.float64)
            count = total.new_zeros(shells + 1)
        squares = squared_radius(slab, box, oversampling).to(grids.device)
        index = _shell_table(box, oversampling).to(grids.device)[squares].flatten()
        twice = torch.full(grids.shape[1:], 2.0, dtype=torch.float64, device=grids.device)
        twice[..., 0] = 1.0
        total.index_add_(1, index, (grids.double() * twice).flatten(1))
        count.index_add_(0, index, twice.flatten())
    return (total / count.clamp(min=1))[:, :shells]


def shell_mean(values: Float[Tensor, "z y x"], box: int, oversampling: int = 2) -> Float[Tensor, " s"]:
    """``shell_means`` of one grid, [D/2]."""
    return shell_means(lambda slab: values[None, slab], box, oversampling)[0]


@dataclass(frozen=True, eq=False)
class Profile:
    """A function of radius read at the nodes of a half grid, slab by slab. table: its values by squared radius."""

    table: Float[Tensor, " r"]
    box: int
    oversampling: int = 2

    @staticmethod
    def of(values: Float[Tensor, " s"], box: int, oversampling: int = 2) -> "Profile":
        """From values per shell: linear between shells, constant from the last to radius D/2, 0 beyond."""
        radius = _radii(box, oversampling).to(values.device)
        last = values.shape[0] - 1
        low = radius.floor().clamp(max=last).long()
        step = (radius - low).clamp(0, 1).to(values.dtype)
        between = values[low] * (1 - step) + values[(low + 1).clamp(max=last)] * step
        return Profile(between * (radius <= box / 2), box, oversampling)

    def __getitem__(self, slab: slice) -> Float[Tensor, "z y x"]:
        return self.table[squared_radius(slab, self.box, self.oversampling).to(self.table.device)]


def extended(curves: Float[Tensor, "*c s"], shells: int, value: float | None = None) -> Float[Tensor, "*c t"]:
    """Curves for more shells: ``value``, or their last one, from there on."""
    last = curves[..., -1:] if value is None else torch.full_like(curves[..., -1:], value)
    return torch.cat([curves, last.expand(*curves.shape[:-1], shells - curves.shape[-1])], -1).contiguous()


def profile_volume(values: Float[Tensor, " s"], box: int) -> Float[Tensor, "d d h"]:
    """A profile given per shell on the rfftn layout [D, D, D/2 + 1] of the box (origin first)."""
    return torch.fft.ifftshift(Profile.of(values, box, oversampling=1)[slice(0, box)], dim=(0, 1))


def squared_radius(slab: slice, box: int, oversampling: int = 2) -> Tensor:
    """Squared radius of the nodes of some planes, in grid steps: [z, oD, oD/2 + 1] int64."""
    depth, height, width = grid_shape(box, oversampling)
    z, y, x = torch.arange(slab.start, slab.stop) - depth // 2, torch.arange(height) - height // 2, torch.arange(width)
    return (z * z)[:, None, None] + (y * y)[:, None] + x * x


@lru_cache(maxsize=4)
def _radii(box: int, oversampling: int) -> Tensor:
    """Radius |k| D by squared radius in grid steps, float64."""
    largest = 3 * (oversampling * box // 2) ** 2
    return torch.sqrt(torch.arange(largest + 1, dtype=torch.float64)) / oversampling


@lru_cache(maxsize=4)
def _shell_table(box: int, oversampling: int) -> Tensor:
    """Shell by squared radius in grid steps; D/2 for all that lies beyond the last, D/2 - 1."""
    return torch.round(_radii(box, oversampling)).long().clamp(max=box // 2)
