"""Statistics of images under a linear family V(k, z) = Σ_c z_c V_c(k), z_0 = 1: what closed-form inference is made of.

An image enters as numerator w C X e^{2πi k·t} and weight w C², w = lattice weight / σ². C maps, one per channel, are
on one half grid. From the grid: Gram matrix and projections of each image. Onto a grid: first and second moments, one
record of F = 2 C + C (C + 1)/2 numbers per node: C numerators (real, imaginary), then the lower triangle of a matrix.

Cost that cannot be avoided, per image point: reading 8 corners of 8 C bytes, or reading and writing 8 of 4 F.
numba on the CPU, triton on a GPU, torch elsewhere.
"""

import torch
from torch import Tensor

from hypermol.errors import ConfigError
from hypermol.kernels import moments_reference as reference
from hypermol.kernels.checks import check_images, check_in_place
from hypermol.kernels.compiled import as_array, compiled_runs, loops, on_gpu, triton_runs
from hypermol.kernels.grid import grid_shape, symmetrise_grid
from hypermol.kernels.slice_insert import check_grid
from hypermol.kernels.visiting_order import visiting_order
from hypermol.shapes import Complex, Float, Int

MOST_ON_GPU = 32
"""Channels whose Gram matrix fits the registers; with more the torch reference runs."""
_MATRICES = 1 << 25  # numbers of all matrices that are solved at a time


def slice_moments(
    grid: Complex[Tensor, "z y x c"],
    numerator: Complex[Tensor, "n p"],
    weight: Float[Tensor, "n p"],
    rotation: Float[Tensor, "n 3 3"],
    k: Float[Tensor, "p 2"],
    box: int,
    oversampling: int = 2,
) -> tuple[Float[Tensor, "n c c"], Float[Tensor, "n c"]]:
    """Gram matrix 2 Σ_p weight Re(s_a* s_b) and projection 2 Σ_p Re(s_a* numerator) of each image, float64; s_a is the
    slice of channel a. -2 log p(X | z) = const - 2 z·projection + zᵀ·gram·z. Not differentiable.

    Raises ConfigError where the grid does not belong to ``box``.
    """
    check_grid(tuple(grid.shape[:3]), box, oversampling)
    check_images(numerator, weight, rotation, k)
    if not compiled_runs(grid, numerator, weight, rotation, k):
        fits = grid.shape[-1] <= MOST_ON_GPU and triton_runs(grid, numerator, weight, rotation, k)
        run = on_gpu("moments") if fits else reference
        return run.slice_moments(grid, numerator, weight, rotation, k, box, oversampling)
    channels, images = grid.shape[-1], len(rotation)
    gram = torch.empty(images, channels, channels, dtype=torch.float64)
    projection = torch.empty(images, channels, dtype=torch.float64)
    records = torch.view_as_real(grid.contiguous()).flatten(-2)
    arrays = [as_array(t) for t in (records, numerator, weight, rotation)]
    arrays += [visiting_order(rotation), as_array(k)]
    loops("moments").slice_moments(*arrays, arrays[-1].dtype.type(box * oversampling), gram.numpy(), projection.numpy())
    return gram, projection


def insert_moments(
    numerator: Complex[Tensor, "n p"],
    weight: Float[Tensor, "n p"],
    rotation: Float[Tensor, "n 3 3"],
    first: Float[Tensor, "n c"],
    second: Float[Tensor, "n m"],
    half: Int[Tensor, " n"],
    k: Float[Tensor, "p 2"],
    box: int,
    out: Float[Tensor, "h z y x f"],
    oversampling: int = 2,
) -> None:
    """Add to ``out[half]``, in place: numerators times ``first`` = E[z], weights times ``second`` = the lower triangle
    of E[z zᵀ], row by row. One of ±k is filled: see ``symmetrise_moments``.

    The same bits for any number of threads. Points that are not finite, or beyond the grid, insert nothing.
    Raises ConfigError where ``out`` does not fit.
    """
    channels, moments = first.shape[1], second.shape[1]
    expected = (*grid_shape(box, oversampling), record_size(channels))
    if tuple(out.shape[1:]) != expected or moments != record_size(channels) - 2 * channels:
        raise ConfigError(
            f"sums of moments: expected [halves, {', '.join(map(str, expected))}] for {channels} channels in a box of "
            f"{box} px, found {tuple(out.shape)} with {moments} second moments"
        )
    check_images(numerator, weight, rotation, k)
    check_in_place(out)
    if triton_runs(numerator, weight, rotation, first, second, half, k, out):
        on_gpu("moments").insert_moments(numerator, weight, rotation, first, second, half, k, box, out, oversampling)
        return
    if not compiled_runs(numerator, weight, rotation, first, second, k, out):
        for own in range(len(out)):
            some = half == own
            images = numerator[some], weight[some], rotation[some], first[some], second[some]
            reference.insert_moments(*images, k, box, out[own], oversampling)
        return
    arrays = [as_array(t) for t in (numerator, weight, rotation)]
    arrays += [visiting_order(rotation), *(as_array(t) for t in (first, second, half, k))]
    compiled = loops("moments")
    parts = max(1, torch.get_num_threads() // len(out))
    compiled.insert_moments(*arrays, arrays[-1].dtype.type(box * oversampling), out.numpy(), parts)


def symmetrise_moments(sums: Float[Tensor, "z y x f"], channels: int) -> None:
    """The x = 0 plane, which holds both k and -k, made whole: in place. Once, after the last insertion."""
    plane = sums[:, :, :1]
    numbers = torch.view_as_complex(plane[..., : 2 * channels].unflatten(-1, (channels, 2)).contiguous())
    whole = torch.view_as_real(symmetrise_grid(numbers)).flatten(-2)
    plane.copy_(torch.cat([whole, symmetrise_grid(plane[..., 2 * channels :].contiguous())], -1))


def solve_moments(
    sums: Float[Tensor, "z y x f"], prior: Float[Tensor, "r c"], oversampling: int = 2
) -> Complex[Tensor, "z y x c"]:
    """The maps whose normal equations the sums are: (M + diag prior) v = n at each node.

    ``prior`` [R, C] by squared radius in grid steps; nodes at R and beyond are 0, and so are nodes without weight.
    """
    depth, height, width = sums.shape[:3]
    if compiled_runs(sums, prior):
        out = torch.zeros(depth, height, width, 2 * prior.shape[1], dtype=sums.dtype)
        loops("moments").solve_moments(as_array(sums), as_array(prior.double()), out.numpy())
        return torch.view_as_complex(out.unflatten(-1, (prior.shape[1], 2)))
    z, y, x = (torch.arange(n, device=sums.device) for n in (depth, height, width))
    channels = prior.shape[1]
    solved = torch.zeros(depth, height, width, channels, dtype=sums.dtype.to_complex(), device=sums.device)
    step = max(1, _MATRICES // (height * width * channels**2))
    for start in range(0, depth, step):  # some planes at a time: a matrix per node is large
        slab = slice(start, start + step)
        squared = ((z[slab] - depth // 2) ** 2)[:, None, None] + ((y - height // 2) ** 2)[:, None] + x**2
        solved[slab] = reference.solve_moments(sums[slab], prior, squared)
    return solved


def record_size(channels: int) -> int:
    """F, the numbers of one node for C channels."""
    return 2 * channels + channels * (channels + 1) // 2
