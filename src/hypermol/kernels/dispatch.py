"""Which slice and insert runs where: numba on the CPU, triton on a GPU, the torch reference elsewhere, and on a GPU for
gradients of poses."""

from typing import Any

import torch
from torch import Tensor

from hypermol.kernels import slice_insert, slice_insert_numba
from hypermol.kernels.checks import check_in_place
from hypermol.kernels.compiled import as_array, compiled_runs, on_gpu, set_threads, triton_runs
from hypermol.kernels.slice_insert import Grids, check_grid, empty_grids
from hypermol.shapes import Complex, Float


def slice_grid(
    grid: Complex[Tensor, "z y x c"], k3: Float[Tensor, "*batch p 3"], box: int, oversampling: int = 2
) -> Complex[Tensor, "*batch p c"]:
    """Values of a Fourier half grid at points ``k3`` (cycles/pixel); see ``slice_insert.slice_grid``."""
    if not _compiled(grid, k3) or (_tracked(k3) and not compiled_runs(grid, k3)):
        return slice_insert.slice_grid(grid, k3, box, oversampling)
    if _tracked(grid, k3):
        return _Slice.apply(grid, k3, box, oversampling)
    return _slice(grid, k3, box, oversampling)


def slice_grids(
    grids: Complex[Tensor, "n z y x c"], k3: Float[Tensor, "m p 3"], sizes: list[int], box: int, oversampling: int = 2
) -> Complex[Tensor, "m p c"]:
    """``slice_grid`` of one grid after the other, each at the next ``sizes[i]`` of the m sets of points."""
    if not _compiled(grids, k3) or _tracked(k3):
        parts = (slice_grid(grid, points, box, oversampling) for grid, points in zip(grids, k3.split(sizes)))
        return torch.cat(list(parts))
    if _tracked(grids):
        return _Slices.apply(grids, k3, sizes, box, oversampling)
    return _slices(grids, k3, sizes, box, oversampling)


def insert_grid(
    values: Complex[Tensor, "*batch p c"],
    weights: Float[Tensor, "*batch p"] | None,
    k3: Float[Tensor, "*batch p 3"],
    box: int,
    oversampling: int = 2,
    out: Grids | None = None,
) -> Grids:
    """Adjoint of ``slice_grid``, and the same for real weights; see ``slice_insert.insert_grid``."""
    tensors = [t for t in (values, weights, k3, *(out or ())) if t is not None]
    if not _compiled(*tensors) or _tracked(*tensors):
        return slice_insert.insert_grid(values, weights, k3, box, oversampling, out)
    return _insert(values, weights, k3, box, oversampling, out)


class _Slice(torch.autograd.Function):
    """Compiled slicing with gradients: the adjoint in the grid is the compiled insertion; in the points, on a CPU, the
    slope of the interpolation."""

    @staticmethod
    def forward(ctx: Any, grid: Tensor, k3: Tensor, box: int, oversampling: int) -> Tensor:
        ctx.save_for_backward(grid, k3)
        ctx.sizes = box, oversampling
        return _slice(grid.detach(), k3.detach(), box, oversampling)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        grid, k3 = ctx.saved_tensors
        of_grid, of_points = ctx.needs_input_grad[:2]
        slope = _slope(gradient, grid, k3, *ctx.sizes) if of_points else None
        return _insert(gradient, None, k3, *ctx.sizes)[0] if of_grid else None, slope, None, None


class _Slices(torch.autograd.Function):
    """Compiled slicing of many grids, with gradients of these."""

    @staticmethod
    def forward(ctx: Any, grids: Tensor, k3: Tensor, sizes: list[int], box: int, oversampling: int) -> Tensor:
        ctx.save_for_backward(k3)
        ctx.sizes = grids.shape, sizes, box, oversampling
        return _slices(grids.detach(), k3.detach(), sizes, box, oversampling)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        (k3,) = ctx.saved_tensors
        shape, sizes, box, oversampling = ctx.sizes
        found = gradient.new_zeros(shape)
        for own, values, points in zip(found, gradient.contiguous().split(sizes), k3.split(sizes)):
            _insert(values, None, points, box, oversampling, (own, None))
        return found, None, None, None, None


def _slices(grids: Tensor, k3: Tensor, sizes: list[int], box: int, oversampling: int) -> Tensor:
    return torch.cat([_slice(grid, points, box, oversampling) for grid, points in zip(grids, k3.split(sizes))])


def _slice(grid: Tensor, k3: Tensor, box: int, oversampling: int) -> Tensor:
    if triton_runs(grid, k3):
        check_grid(tuple(grid.shape[:3]), box, oversampling)
        return on_gpu("slice_insert").slice_grid(grid, k3, box, oversampling)
    set_threads(torch.get_num_threads())
    arrays = as_array(grid), as_array(k3)
    return torch.from_numpy(slice_insert_numba.slice_grid(*arrays, box, oversampling))


def _slope(gradient: Tensor, grid: Tensor, k3: Tensor, box: int, oversampling: int) -> Tensor:
    arrays = as_array(gradient), as_array(grid), as_array(k3)
    return torch.from_numpy(slice_insert_numba.slice_slope(*arrays, box, oversampling))


def _insert(
    values: Tensor, weights: Tensor | None, k3: Tensor, box: int, oversampling: int, out: Grids | None = None
) -> Grids:
    grid, weight_grid = out or empty_grids(values, weights, box, oversampling)
    check_in_place(grid, *([] if weight_grid is None else [weight_grid]))
    if triton_runs(values, k3, grid):
        check_grid(tuple(grid.shape[:3]), box, oversampling)
        return on_gpu("slice_insert").insert_grid(values, weights, k3, box, oversampling, (grid, weight_grid))
    set_threads(torch.get_num_threads())
    arrays = as_array(values), None if weights is None else as_array(weights), as_array(k3)
    target = grid.numpy(), None if weight_grid is None else weight_grid.numpy()
    slice_insert_numba.insert_grid(*arrays, box, oversampling, target)
    return grid, weight_grid


def _compiled(*tensors: Tensor) -> bool:
    return compiled_runs(*tensors) or triton_runs(*tensors)


def _tracked(*tensors: Tensor) -> bool:
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
