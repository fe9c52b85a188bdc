"""Candidate poses on a GPU. Imports triton: import this module only where it is used.

Cost that cannot be avoided, per candidate and point: 8 corners of 8 bytes read, from the cache where the grid of the
band fits it (64 shells at oversampling 2: 17 MB), and about 100 operations. Slices are never stored.
"""

from typing import no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor

from hypermol.kernels.compiled import as_floats
from hypermol.kernels.corners_triton import inside, place, read
from hypermol.shapes import Complex, Float

BLOCK, NUMBERS = 256, 7


@triton.jit
@no_type_check
def _wave(cycles):
    """Cosine and sine of so many whole turns: by their series within an eighth of a turn, then twice the double angle.
    The library's own keep a path for huge arguments, which takes local memory."""
    x = (cycles - tl.floor(cycles + 0.5)) * 1.5707963267948966
    q = x * x
    cosine, sine = tl.full(x.shape, 0.0, x.dtype), tl.full(x.shape, 0.0, x.dtype)
    for n in tl.static_range(8, 0, -1):
        cosine = (1 + cosine) * q * (-1.0 / (2 * n * (2 * n - 1)))
        sine = (1 + sine) * q * (-1.0 / (2 * n * (2 * n + 1)))
    cosine, sine = 1 + cosine, (1 + sine) * x
    for _ in tl.static_range(2):
        cosine, sine = cosine * cosine - sine * sine, 2 * cosine * sine
    return cosine, sine


@triton.jit
@no_type_check
def _correlate(
    grid,
    numerator,
    weight,
    rotation,
    shift,
    k,
    size,
    turn,
    out,
    points,
    poses,
    depth,
    height,
    width,
    block: tl.constexpr,
) -> None:
    """One candidate of one image per program; ``turn`` = 2π. out: 7 numbers, ordered as in ``Correlation``."""
    image = tl.program_id(0).to(tl.int64)
    which = image * poses + tl.program_id(1)
    tx, ty = tl.load(shift + 2 * which), tl.load(shift + 2 * which + 1)
    none = tl.zeros([], tl.float64)
    overlap, gx, gy, xx, xy, yy, power = none, none, none, none, none, none, none
    for start in range(0, points, block):
        p = start + tl.arange(0, block)
        there, at = p < points, image * points + p
        x, y, z, sign, finite = place(rotation + 9 * which, k, p, there, size)
        wanted = there & inside(x, y, z, depth, height, width)
        first, second = read(grid, x, y, z, depth, height, width, 1, 0, 1, wanted)
        real, imaginary = tl.sum(first, 1), tl.sum(second, 1) * sign
        kx = tl.load(k + 2 * p, mask=there, other=0.0)
        ky = tl.load(k + 2 * p + 1, mask=there, other=0.0)
        cosine, sine = _wave(kx * tx + ky * ty)
        a, b = real * cosine + imaginary * sine, imaginary * cosine - real * sine
        c = tl.load(numerator + 2 * at, mask=there, other=0.0)
        d = tl.load(numerator + 2 * at + 1, mask=there, other=0.0)
        across = (c * b - d * a) * turn
        shown = tl.where(there & (finite == 0), float("nan"), a * c + b * d)
        expected = tl.load(weight + at, mask=there, other=0.0) * (real * real + imaginary * imaginary)
        overlap += tl.sum(shown, 0).to(tl.float64)
        gx += tl.sum(kx * across, 0).to(tl.float64)
        gy += tl.sum(ky * across, 0).to(tl.float64)
        power += tl.sum(expected, 0).to(tl.float64)
        expected = expected * (turn * turn)
        xx += tl.sum(kx * kx * expected, 0).to(tl.float64)
        xy += tl.sum(kx * ky * expected, 0).to(tl.float64)
        yy += tl.sum(ky * ky * expected, 0).to(tl.float64)
    to = out + 7 * which
    tl.store(to, 2 * overlap)
    tl.store(to + 1, 2 * gx)
    tl.store(to + 2, 2 * gy)
    tl.store(to + 3, 2 * xx)
    tl.store(to + 4, 2 * xy)
    tl.store(to + 5, 2 * yy)
    tl.store(to + 6, 2 * power)


def correlate_poses(
    grid: Complex[Tensor, "z y x 1"],
    numerator: Complex[Tensor, "n p"],
    weight: Float[Tensor, "n p"],
    rotation: Float[Tensor, "n h 3 3"],
    shift: Float[Tensor, "n h 2"],
    k: Float[Tensor, "p 2"],
    size: int,
) -> Float[Tensor, "n h 7"]:
    """See ``correlate``; ``size``: nodes per cycle/pixel. float64: overlap, gradient, information, power."""
    images, poses = shift.shape[:2]
    out = torch.zeros(images, poses, NUMBERS, dtype=torch.float64, device=grid.device)
    if images and poses and len(k):
        data = as_floats(grid), as_floats(numerator), weight.contiguous(), rotation.contiguous(), shift.contiguous()
        given = *data, k.contiguous(), float(size), 2 * torch.pi, out, len(k), poses, *grid.shape[:3]
        with torch.cuda.device_of(grid):
            _correlate[(images, poses)](*given, block=BLOCK)
    return out
