"""Slice and insert on a Fourier half grid: the torch reference, differentiable, any device and precision.

``slice_grid`` reads V at arbitrary points by trilinear interpolation, V(-k) = V(k)*. ``insert_grid`` is its
exact adjoint: ⟨slice(g), v⟩ = ⟨g, insert(v)⟩ for the real inner product Re Σ a* b. Samples beyond the grid
read 0 and insert nothing; points that are not finite read NaN and leave NaN in the grid, so that they show.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from hypermol.errors import ConfigError
from hypermol.kernels.grid import grid_shape
from hypermol.shapes import Complex, Float

Grids = tuple[Tensor, Tensor | None]


def slice_grid(
    grid: Complex[Tensor, "z y x c"], k3: Float[Tensor, "*batch p 3"], box: int, oversampling: int = 2
) -> Complex[Tensor, "*batch p c"]:
    """Values of the grid [oD, oD, oD/2 + 1, C] at points ``k3`` (x, y, z; cycles/pixel).

    Raises ConfigError where the grid is not that of ``box`` and ``oversampling``.
    """
    check_grid(tuple(grid.shape[:3]), box, oversampling)
    points, flipped = _grid_points(k3.reshape(-1, 3), box * oversampling)
    flat = grid.reshape(-1, grid.shape[-1])
    values = flat.new_zeros((points.shape[0], flat.shape[-1]))
    for index, weight in _corners(points, grid.shape[:3]):
        values = values + flat[index] * weight[:, None]
    values = torch.where(flipped[:, None], values.conj(), values)
    return values.reshape(*k3.shape[:-1], grid.shape[-1])


def insert_grid(
    values: Complex[Tensor, "*batch p c"],
    weights: Float[Tensor, "*batch p"] | None,
    k3: Float[Tensor, "*batch p 3"],
    box: int,
    oversampling: int = 2,
    out: Grids | None = None,
) -> Grids:
    """Spread ``values`` over a grid [oD, oD, oD/2 + 1, C], and ``weights`` over a real one [oD, oD, oD/2 + 1].

    Values are inserted as they are (not multiplied by the weights). Without weights the second grid is None.
    ``out``: grids to add to, in place (in their own precision). Only one of ±k is filled: see
    ``symmetrise_grid``. Raises ConfigError where ``out`` has another shape.
    """
    grid, weight_grid = out or empty_grids(values, weights, box, oversampling)
    check_grid(tuple(grid.shape[:3]), box, oversampling)
    points, flipped = _grid_points(k3.reshape(-1, 3), box * oversampling)
    flat = values.reshape(-1, values.shape[-1])
    flat = torch.where(flipped[:, None], flat.conj(), flat)
    for index, weight in _corners(points, grid.shape[:3]):
        grid.view(-1, grid.shape[-1]).index_add_(0, index, (flat * weight[:, None]).to(grid.dtype))
        if weights is not None and weight_grid is not None:
            weight_grid.view(-1).index_add_(0, index, (weights.reshape(-1) * weight).to(weight_grid.dtype))
    return grid, weight_grid


def empty_grids(values: Tensor, weights: Tensor | None, box: int, oversampling: int = 2) -> Grids:
    """Grids of zeros to insert ``values`` and ``weights`` into, of their types, on their device."""
    shape = grid_shape(box, oversampling)
    grid = values.new_zeros((*shape, values.shape[-1]))
    return grid, None if weights is None else weights.new_zeros(shape)


def check_grid(found: tuple[int, ...], box: int, oversampling: int) -> None:
    """Raises ConfigError unless ``found`` is the shape of the half grid of ``box``."""
    expected = grid_shape(box, oversampling)
    if found != expected:
        raise ConfigError(
            f"Fourier grid: expected shape {expected} for a box of {box} px at oversampling {oversampling}, "
            f"found {found}"
        )


def _grid_points(k3: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Points [N, 3] in grid steps, moved to the stored half of space, and which were moved (conjugated)."""
    points = k3 * size
    x, y, z = points.unbind(-1)
    flipped = (x < 0) | ((x == 0) & ((y < 0) | ((y == 0) & (z < 0))))
    return torch.where(flipped[:, None], -points, points), flipped


def _corners(points: Tensor, shape: tuple[int, ...]) -> Iterator[tuple[Tensor, Tensor]]:
    """The eight grid points around each point: flat index [N] and trilinear weight [N], 0 outside the grid."""
    base = torch.floor(points.detach())
    fraction = points - base
    start = base.long() + torch.tensor([0, shape[1] // 2, shape[0] // 2], device=points.device)
    limits = torch.tensor([shape[2], shape[1], shape[0]], device=points.device)
    for corner in range(8):
        step = torch.tensor([corner & 1, corner >> 1 & 1, corner >> 2], device=points.device)
        place = start + step
        inside = ((place >= 0) & (place < limits)).all(-1)
        x, y, z = torch.where(inside[:, None], place, torch.zeros_like(place)).unbind(-1)
        weight = torch.where(step.bool(), fraction, 1 - fraction).prod(-1) * inside
        yield (z * shape[1] + y) * shape[2] + x, weight
