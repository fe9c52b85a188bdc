"""The statistics of linear families on a GPU. Imports triton: import this module only where it is used.

Cost that cannot be avoided, per image point, when the grid does not fit the cache: 8 corners of 8 C bytes read, or of
4 F bytes read and written. Slices are never stored: the Gram matrix of an image is summed block by block of its points.
"""

from typing import no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor

from hypermol.kernels.compiled import as_floats
from hypermol.kernels.corners_triton import add, insertion_tiles, read, seen
from hypermol.shapes import Complex, Float, Int

_TILE = 2048  # numbers of an outer product in registers at once


@triton.jit
@no_type_check
def _slice(
    grid,
    numerator,
    weight,
    rotation,
    k,
    size,
    gram,
    projection,
    points,
    depth,
    height,
    width,
    channels: tl.constexpr,
    lanes: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """One image per program."""
    image = tl.program_id(0).to(tl.int64)
    a = tl.arange(0, lanes)
    products, overlaps = tl.zeros([lanes, lanes], tl.float64), tl.zeros([lanes], tl.float64)
    for start in range(0, points, block):
        p = start + tl.arange(0, block)
        x, y, z, _, wanted, first, second, w = seen(
            numerator, weight, rotation, k, size, image, points, p, depth, height, width
        )
        real, imaginary = read(grid, x, y, z, depth, height, width, channels, 0, lanes, wanted)
        overlaps += tl.sum(real * first[:, None] + imaginary * second[:, None], 0).to(tl.float64)
        both = real[:, :, None] * (real * w[:, None])[:, None, :]
        both += imaginary[:, :, None] * (imaginary * w[:, None])[:, None, :]
        products += tl.sum(both, 0).to(tl.float64)
    known = a < channels
    tl.store(projection + image * channels + a, 2 * overlaps, mask=known)
    at = gram + image * channels * channels + a[:, None] * channels + a[None, :]
    tl.store(at, 2 * products, mask=known[:, None] & known[None, :])


@triton.jit
@no_type_check
def _insert(
    numerator,
    weight,
    rotation,
    first,
    second,
    half,
    k,
    size,
    out,
    points,
    depth,
    height,
    width,
    halves,
    channels: tl.constexpr,
    moments: tl.constexpr,
    record: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """A block of the points of one image, and ``record`` numbers of a node, per program."""
    image, floats = tl.program_id(0).to(tl.int64), 2 * channels + moments
    p = tl.program_id(1) * block + tl.arange(0, block)
    f = tl.program_id(2) * record + tl.arange(0, record)
    linear = f < 2 * channels
    x, y, z, _, wanted, real, imaginary, w = seen(
        numerator, weight, rotation, k, size, image, points, p, depth, height, width
    )
    one = tl.load(first + image * channels + f // 2, mask=linear, other=0.0)
    two = tl.load(second + image * moments + f - 2 * channels, mask=~linear & (f < floats), other=0.0)
    number = tl.where((f % 2 == 0)[None, :], real[:, None], imaginary[:, None])
    value = tl.where(linear[None, :], number * one[None, :], w[:, None] * two[None, :])
    own = tl.load(half + image).to(tl.int64)
    wanted = wanted & (own >= 0) & (own < halves)
    place_of_half = out + own * depth * height * width * floats
    add(place_of_half, x, y, z, depth, height, width, floats, f, value, wanted[:, None] & (f < floats)[None, :])


def slice_moments(
    grid: Complex[Tensor, "z y x c"],
    numerator: Complex[Tensor, "n p"],
    weight: Float[Tensor, "n p"],
    rotation: Float[Tensor, "n 3 3"],
    k: Float[Tensor, "p 2"],
    box: int,
    oversampling: int = 2,
) -> tuple[Float[Tensor, "n c c"], Float[Tensor, "n c"]]:
    """See ``moments.slice_moments``."""
    channels, images, lanes = grid.shape[-1], len(rotation), triton.next_power_of_2(grid.shape[-1])
    gram = torch.zeros(images, channels, channels, dtype=torch.float64, device=grid.device)
    projection = torch.zeros(images, channels, dtype=torch.float64, device=grid.device)
    if images and len(k):
        data = as_floats(grid), as_floats(numerator), weight.contiguous(), rotation.contiguous(), k.contiguous()
        block = max(16, min(128, _TILE // lanes**2))
        sizes = len(k), *grid.shape[:3], channels
        given = *data, float(box * oversampling), gram, projection, *sizes
        with torch.cuda.device_of(grid):
            _slice[(images,)](*given, lanes=lanes, block=block, num_warps=4 if lanes <= 16 else 8)
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
    """See ``moments.insert_moments``; ``out`` contiguous."""
    images, points, floats = len(rotation), len(k), out.shape[-1]
    if not images or not points:
        return
    data = as_floats(numerator), weight.contiguous(), rotation.contiguous(), first.contiguous(), second.contiguous()
    programs, tile = insertion_tiles(images, points, floats)
    sizes = points, *out.shape[1:4], len(out), first.shape[1], second.shape[1]
    given = *data, half.contiguous(), k.contiguous(), float(box * oversampling), out, *sizes
    with torch.cuda.device_of(out):
        _insert[programs](*given, **tile)
