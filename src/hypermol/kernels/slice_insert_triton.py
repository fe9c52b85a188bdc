"""Slice and insert on a GPU. Imports triton: import this module only where it is used."""

from typing import no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor

from hypermol.kernels.compiled import as_floats
from hypermol.kernels.corners_triton import TILE, add, mirrored, read
from hypermol.kernels.slice_insert import Grids, empty_grids
from hypermol.shapes import Complex, Float


@triton.jit
@no_type_check
def _points(k3, p, there, size):
    """Points in grid steps, ``mirrored``."""
    x = tl.load(k3 + 3 * p, mask=there, other=0.0) * size
    y = tl.load(k3 + 3 * p + 1, mask=there, other=0.0) * size
    z = tl.load(k3 + 3 * p + 2, mask=there, other=0.0) * size
    return mirrored(x, y, z)


@triton.jit
@no_type_check
def _slice(
    grid, k3, size, values, points, depth, height, width, channels, lanes: tl.constexpr, block: tl.constexpr
) -> None:
    """A block of points, and ``lanes`` channels, per program."""
    p = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    first = tl.program_id(1) * lanes
    c = first + tl.arange(0, lanes)
    there = p < points
    x, y, z, sign, finite = _points(k3, p, there, size)
    real, imaginary = read(grid, x, y, z, depth, height, width, channels, first, lanes, there)
    real = tl.where(finite[:, None], real, float("nan"))
    imaginary = tl.where(finite[:, None], imaginary * sign[:, None], float("nan"))
    at, some = values + 2 * (p[:, None] * channels + c[None, :]), there[:, None] & (c < channels)[None, :]
    tl.store(at, real, mask=some)
    tl.store(at + 1, imaginary, mask=some)


@triton.jit
@no_type_check
def _insert(
    values,
    k3,
    size,
    grid,
    points,
    depth,
    height,
    width,
    floats: tl.constexpr,
    numbers: tl.constexpr,
    lanes: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """A block of points, and ``lanes`` numbers of a node, per program. numbers: 2 where they are complex, else 1."""
    p = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    f = tl.program_id(1) * lanes + tl.arange(0, lanes)
    there = p < points
    x, y, z, sign, finite = _points(k3, p, there, size)
    some = there[:, None] & (f < floats)[None, :]
    value = tl.load(values + p[:, None] * floats + f[None, :], mask=some, other=0.0)
    lost = tl.sum((there & ~finite).to(tl.int32), 0) > 0  # a pose that is no number must show, not vanish
    tl.atomic_add(
        grid + f, tl.full([lanes], float("nan"), grid.dtype.element_ty), mask=lost & (f < floats), sem="relaxed"
    )
    if numbers == 2:
        value = tl.where((f % 2 == 1)[None, :], value * sign[:, None], value)
    add(grid, x, y, z, depth, height, width, floats, f, value, some)


def slice_grid(
    grid: Complex[Tensor, "z y x c"], k3: Float[Tensor, "*batch p 3"], box: int, oversampling: int = 2
) -> Complex[Tensor, "*batch p c"]:
    """See ``slice_insert.slice_grid``; the grid's shape is not looked at again."""
    points, channels = k3.reshape(-1, 3).contiguous(), grid.shape[-1]
    values = torch.empty(len(points), channels, dtype=grid.dtype, device=grid.device)
    if values.numel():
        lanes = min(16, triton.next_power_of_2(channels))
        block = TILE // lanes
        programs, sizes = (triton.cdiv(len(points), block), triton.cdiv(channels, lanes)), (len(points), *grid.shape)
        given = as_floats(grid), points, float(box * oversampling), torch.view_as_real(values)
        with torch.cuda.device_of(grid):
            _slice[programs](*given, *sizes, lanes=lanes, block=block)
    return values.reshape(*k3.shape[:-1], channels)


def insert_grid(
    values: Complex[Tensor, "*batch p c"],
    weights: Float[Tensor, "*batch p"] | None,
    k3: Float[Tensor, "*batch p 3"],
    box: int,
    oversampling: int = 2,
    out: Grids | None = None,
) -> Grids:
    """See ``slice_insert.insert_grid``; ``out`` contiguous, its shapes are not looked at again."""
    grid, weight_grid = out or empty_grids(values, weights, box, oversampling)
    size = float(box * oversampling)
    points = k3.reshape(-1, 3).contiguous()
    floats = as_floats(values).reshape(len(points), 2 * values.shape[-1])
    _add(floats, points, size, torch.view_as_real(grid).flatten(-2), 2)
    if weights is not None and weight_grid is not None:
        _add(weights.reshape(len(points), 1).contiguous(), points, size, weight_grid[..., None], 1)
    return grid, weight_grid


def _add(values: Tensor, points: Tensor, size: float, grid: Tensor, numbers: int) -> None:
    floats = values.shape[1]
    if not values.numel():
        return
    lanes = min(32, triton.next_power_of_2(floats))
    block = TILE // lanes
    programs, sizes = (triton.cdiv(len(points), block), triton.cdiv(floats, lanes)), (len(points), *grid.shape[:3])
    given = values, points, size, grid, *sizes, floats
    with torch.cuda.device_of(grid):
        _insert[programs](*given, numbers=numbers, lanes=lanes, block=block)
