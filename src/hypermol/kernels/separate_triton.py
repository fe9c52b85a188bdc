"""The statistics of separate maps on a GPU. Imports triton: import this module only where it is used."""

from typing import no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor

from hypermol.kernels.compiled import as_floats
from hypermol.kernels.corners_triton import TILE, add, insertion_tiles, read, seen
from hypermol.shapes import Complex, Float, Int


@triton.jit
@no_type_check
def _slice(
    grid,
    numerator,
    weight,
    rotation,
    k,
    size,
    power,
    overlap,
    points,
    depth,
    height,
    width,
    channels: tl.constexpr,
    lanes: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """``lanes`` maps of one image per program."""
    image = tl.program_id(0).to(tl.int64)
    first_channel = tl.program_id(1) * lanes
    c = first_channel + tl.arange(0, lanes)
    powers, overlaps = tl.zeros([lanes], tl.float64), tl.zeros([lanes], tl.float64)
    for start in range(0, points, block):
        p = start + tl.arange(0, block)
        x, y, z, _, wanted, first, second, w = seen(
            numerator, weight, rotation, k, size, image, points, p, depth, height, width
        )
        real, imaginary = read(grid, x, y, z, depth, height, width, channels, first_channel, lanes, wanted)
        overlaps += tl.sum(real * first[:, None] + imaginary * second[:, None], 0).to(tl.float64)
        powers += tl.sum((real * real + imaginary * imaginary) * w[:, None], 0).to(tl.float64)
    tl.store(power + image * channels + c, 2 * powers, mask=c < channels)
    tl.store(overlap + image * channels + c, 2 * overlaps, mask=c < channels)


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
    record: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """A block of the points of one image, and ``record`` numbers of a node, per program."""
    image = tl.program_id(0).to(tl.int64)
    p = tl.program_id(1) * block + tl.arange(0, block)
    f = tl.program_id(2) * record + tl.arange(0, record)
    kind = f % 3
    share = tl.load(first + image * channels + f // 3, mask=f < 3 * channels, other=0.0)
    mass = tl.load(second + image * channels + f // 3, mask=f < 3 * channels, other=0.0)
    x, y, z, _, wanted, real, imaginary, w = seen(
        numerator, weight, rotation, k, size, image, points, p, depth, height, width
    )
    number = tl.where((kind == 0)[None, :], real[:, None], imaginary[:, None])
    value = tl.where((kind == 2)[None, :], w[:, None] * mass[None, :], number * share[None, :])
    own = tl.load(half + image).to(tl.int64)
    wanted = wanted & (own >= 0) & (own < halves)
    place_of_half = out + own * depth * height * width * 3 * channels
    add(place_of_half, x, y, z, depth, height, width, 3 * channels, f, value, wanted[:, None] & (mass != 0)[None, :])


def slice_separate(
    grid: Complex[Tensor, "z y x c"],
    numerator: Complex[Tensor, "n p"],
    weight: Float[Tensor, "n p"],
    rotation: Float[Tensor, "n 3 3"],
    k: Float[Tensor, "p 2"],
    box: int,
    oversampling: int = 2,
) -> tuple[Float[Tensor, "n c"], Float[Tensor, "n c"]]:
    """See ``separate.slice_separate``."""
    channels, images, lanes = grid.shape[-1], len(rotation), min(16, triton.next_power_of_2(grid.shape[-1]))
    power = torch.zeros(images, channels, dtype=torch.float64, device=grid.device)
    overlap = torch.zeros_like(power)
    if images and len(k):
        data = as_floats(grid), as_floats(numerator), weight.contiguous(), rotation.contiguous(), k.contiguous()
        programs, sizes = (images, triton.cdiv(channels, lanes)), (len(k), *grid.shape[:3], channels)
        block = max(16, min(256, TILE // lanes))
        given = *data, float(box * oversampling), power, overlap, *sizes
        with torch.cuda.device_of(grid):
            _slice[programs](*given, lanes=lanes, block=block)
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
    """See ``separate.insert_separate``; ``out`` contiguous."""
    images, points, floats = len(rotation), len(k), out.shape[-1]
    if not images or not points:
        return
    data = as_floats(numerator), weight.contiguous(), rotation.contiguous(), first.contiguous(), second.contiguous()
    programs, tile = insertion_tiles(images, points, floats)
    sizes = points, *out.shape[1:4], len(out), first.shape[1]
    given = *data, half.contiguous(), k.contiguous(), float(box * oversampling), out, *sizes
    with torch.cuda.device_of(out):
        _insert[programs](*given, **tile)
