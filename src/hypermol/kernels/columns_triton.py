"""Columns of a covariance on a GPU. Imports triton: import this module only where it is used.

A program holds one image against one column. Most slices miss a place, and those programs end after three products; the
others walk their points twice: what the image says near the place, and its back projection weighted by that.
"""

from typing import no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor

from hypermol.kernels.compiled import as_floats
from hypermol.kernels.corners_triton import add, seen
from hypermol.shapes import Complex, Float, Int

_POINTS, _LANES = 128, 8  # of a tile; a record has 5 numbers


@triton.jit
@no_type_check
def _cone(k, p, there, box, qx, qy, qz, width):
    """K of points p, which lie near the place themselves or by their conjugates: its value, and 1 or -1."""
    x = tl.load(k + 2 * p, mask=there, other=0.0) * box
    y = tl.load(k + 2 * p + 1, mask=there, other=0.0) * box
    plain = 1 - tl.sqrt((x - qx) * (x - qx) + (y - qy) * (y - qy) + qz * qz) / width
    conjugate = 1 - tl.sqrt((x + qx) * (x + qx) + (y + qy) * (y + qy) + qz * qz) / width
    share = tl.where(plain > 0, plain, tl.where(conjugate > 0, conjugate, 0.0))
    return tl.where(there, share, 0.0), tl.where(conjugate > 0, -1.0, 1.0)


@triton.jit
@no_type_check
def _insert(
    numerator,
    weight,
    rotation,
    half,
    places,
    width,
    k,
    box,
    size,
    out,
    points,
    columns,
    depth,
    height,
    grid_width,
    halves,
    lanes: tl.constexpr,
    block: tl.constexpr,
) -> None:
    image, column = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    r, xi = rotation + 9 * image, places + 3 * column
    a, b, c = tl.load(xi), tl.load(xi + 1), tl.load(xi + 2)
    qz = tl.load(r + 6) * a + tl.load(r + 7) * b + tl.load(r + 8) * c
    own = tl.load(half + image).to(tl.int64)
    if (tl.abs(qz) < width) & (own >= 0) & (own < halves):
        qx = tl.load(r) * a + tl.load(r + 1) * b + tl.load(r + 2) * c
        qy = tl.load(r + 3) * a + tl.load(r + 4) * b + tl.load(r + 5) * c
        real = tl.zeros([block], tl.float64)
        imaginary = tl.zeros([block], tl.float64)
        total = tl.zeros([block], tl.float64)
        for start in range(0, points, block):
            p = start + tl.arange(0, block)
            there, at = p < points, image * points + p
            share, sign = _cone(k, p, there, box, qx, qy, qz, width)
            real += share * tl.load(numerator + 2 * at, mask=there, other=0.0)
            imaginary += share * sign * tl.load(numerator + 2 * at + 1, mask=there, other=0.0)
            total += share * tl.load(weight + at, mask=there, other=0.0)
        first, second, whole = tl.sum(real, 0), tl.sum(imaginary, 0), tl.sum(total, 0)
        kind = weight.dtype.element_ty  # from here on in the images' own precision: float64 is slow on a GPU
        first, second, whole = first.to(kind), second.to(kind), whole.to(kind)
        f = tl.arange(0, lanes)
        odd = (f % 2 == 1)[None, :]
        near = tl.where(f < 2, first, second)[None, :]
        place_of_column = out + (own * columns + column) * depth * height * grid_width * 5
        for start in range(0, points, block):
            p = start + tl.arange(0, block)
            x, y, z, flip, wanted, re, im, w = seen(
                numerator, weight, rotation, k, size, image, points, p, depth, height, grid_width
            )
            share, sign = _cone(k, p, p < points, box, qx, qy, qz, width)
            number = tl.where(odd, im[:, None], re[:, None]) * near
            noise = 0.5 * share * w
            of_first = tl.where((f == 0)[None, :], noise[:, None], 0.0)
            of_second = tl.where((f == 3)[None, :], (noise * sign * flip)[:, None], 0.0)
            value = tl.where((f == 4)[None, :], (w * whole)[:, None], number - of_first - of_second)
            some = wanted[:, None] & (f < 5)[None, :]
            add(place_of_column, x, y, z, depth, height, grid_width, 5, f, value, some)


def insert_columns(
    numerator: Complex[Tensor, "n p"],
    weight: Float[Tensor, "n p"],
    rotation: Float[Tensor, "n 3 3"],
    half: Int[Tensor, " n"],
    places: Float[Tensor, "m 3"],
    width: float,
    k: Float[Tensor, "p 2"],
    box: int,
    out: Float[Tensor, "h m z y x f"],
    oversampling: int = 1,
) -> None:
    """See ``columns.insert_columns``; ``out`` contiguous."""
    if not len(rotation) or not len(k) or not len(places):
        return
    data = as_floats(numerator), weight.contiguous(), rotation.contiguous(), half.contiguous()
    near = places.to(rotation).contiguous(), width, k.contiguous(), float(box), float(box * oversampling)
    sizes = len(k), len(places), *out.shape[2:5], len(out)
    with torch.cuda.device_of(out):
        _insert[(len(rotation), len(places))](*data, *near, out, *sizes, lanes=_LANES, block=_POINTS)
