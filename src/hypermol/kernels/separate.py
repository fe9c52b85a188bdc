"""Statistics of images under each of C maps by itself: the diagonal of ``moments``, at a cost linear in C.

An image enters as in ``moments``: numerator w C X e^{2πi k·t} and weight w C². C maps, one per channel, are on one half
grid, so that one walk over an image's points serves them all. Onto a grid: one record of 3 C numbers per node, for each
map its numerator (real, imaginary) and its weight.

Cost that cannot be avoided, per image point: reading 8 corners of 8 C bytes, or reading and writing 8 of 12 bytes for
each map in which the image has a part. numba on the CPU, triton on a GPU, torch elsewhere.
"""

import torch
from torch import Tensor

from hypermol.errors import ConfigError
from hypermol.kernels import separate_reference as reference
from hypermol.kernels.checks import check_images, check_in_place
from hypermol.kernels.compiled import as_array, compiled_runs, loops, on_gpu, triton_runs
from hypermol.kernels.grid import grid_shape, symmetrise_grid
from hypermol.kernels.slice_insert import check_grid
from hypermol.kernels.visiting_order import visiting_order
from hypermol.shapes import Complex, Float, Int

RECORD = 3
"""Numbers of one map at one node."""


def slice_separate(
    grid: Complex[Tensor, "z y x c"],
    numerator: Complex[Tensor, "n p"],
    weight: Float[Tensor, "n p"],
    rotation: Float[Tensor, "n 3 3"],
    k: Float[Tensor, "p 2"],
    box: int,
    oversampling: int = 2,
) -> tuple[Float[Tensor, "n c"], Float[Tensor, "n c"]]:
    """Power 2 Σ_p weight |s_c|² and overlap 2 Σ_p Re(s_c* numerator) of each image with each map, float64; s_c is the
    slice of channel c. -2 log p(X | a, c) = const - 2 a overlap + a² power. Not differentiable.

    Raises ConfigError where the grid does not belong to ``box``.
    """
    check_grid(tuple(grid.shape[:3]), box, oversampling)
    check_images(numerator, weight, rotation, k)
    if not compiled_runs(grid, numerator, weight, rotation, k):
        run = on_gpu("separate") if triton_runs(grid, numerator, weight, rotation, k) else reference
        return run.slice_separate(grid, numerator, weight, rotation, k, box, oversampling)
    power = torch.empty(len(rotation), grid.shape[-1], dtype=torch.float64)
    overlap = torch.empty_like(power)
    records = torch.view_as_real(grid.contiguous()).flatten(-2)
    arrays = [as_array(t) for t in (records, numerator, weight, rotation)]
    arrays += [visiting_order(rotation), as_array(k)]
    loops("separate").slice_separate(*arrays, arrays[-1].dtype.type(box * oversampling), power.numpy(), overlap.numpy())
    return power, overlap


def insert_separate(
    numerator: Complex[Tensor, "n p"],
    weight: Float[Tensor, "n p"],
    rotation: Float[Tensor, "n 3 3"],
    first: Float[Tensor, "n c"],
    second: Float[Tensor, "n c"],
    half: Int[Tensor, " n"],
    k: Float[Tensor, "p 2"],
    box: int,
    out: Float[Tensor, "h z y x f"],
    oversampling: int = 2,
) -> None:
    """Add to ``out[half]`` [2, oD, oD, oD/2 + 1, 3 C], in place: for each map c the numerator times ``first``, and the
    weight times ``second``. A map for which ``second`` is 0 is left alone. One of ±k is filled: see
    ``symmetrise_separate``.

    The same bits for any number of threads. Points that are not finite, or beyond the grid, insert nothing.
    Raises ConfigError where ``out`` does not fit.
    """
    expected = (*grid_shape(box, oversampling), RECORD * first.shape[1])
    if tuple(out.shape[1:]) != expected:
        raise ConfigError(
            f"sums of {first.shape[1]} maps in a box of {box} px: expected [halves, {', '.join(map(str, expected))}], "
            f"found {tuple(out.shape)}"
        )
    check_images(numerator, weight, rotation, k)
    check_in_place(out)
    if triton_runs(numerator, weight, rotation, first, second, half, k, out):
        on_gpu("separate").insert_separate(numerator, weight, rotation, first, second, half, k, box, out, oversampling)
        return
    if not compiled_runs(numerator, weight, rotation, first, second, k, out):
        for own in range(len(out)):
            some = half == own
            images = numerator[some], weight[some], rotation[some], first[some], second[some]
            reference.insert_separate(*images, k, box, out[own], oversampling)
        return
    arrays = [as_array(t) for t in (numerator, weight, rotation)]
    arrays += [visiting_order(rotation), *(as_array(t) for t in (first, second, half, k))]
    compiled, parts = loops("separate"), max(1, torch.get_num_threads() // len(out))
    compiled.insert_separate(*arrays, arrays[-1].dtype.type(box * oversampling), out.numpy(), parts)


def symmetrise_separate(sums: Float[Tensor, "z y x f"]) -> None:
    """The x = 0 plane, which holds both k and -k, made whole: in place. Once, after the last insertion."""
    plane = sums[:, :, :1].unflatten(-1, (-1, RECORD))
    numbers = symmetrise_grid(torch.view_as_complex(plane[..., :2].contiguous()))
    weights = symmetrise_grid(plane[..., 2].contiguous())
    plane.copy_(torch.cat([torch.view_as_real(numbers), weights[..., None]], -1))
