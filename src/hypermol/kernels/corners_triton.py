"""The walk of the GPU kernels over the eight corners around points. Imports triton: import it only where it is used.

One record per node, as on the CPU. Blocks of points are one axis of a tile and the numbers of a record the other, so
that neighbouring threads touch neighbouring numbers of a corner. Corners beyond the grid, and points that are not
finite, read 0 and insert nothing.
"""

from typing import no_type_check

import triton
import triton.language as tl

RECORD, TILE = 32, 512  # numbers of a record, and of a tile, in registers at once


@triton.jit
@no_type_check
def mirrored(x, y, z):
    """Points in the stored half of space; -1 where they were mirrored to get there, else 1; and whether they are
    finite: those that are not are put beyond every grid."""
    finite = tl.abs(x) + tl.abs(y) + tl.abs(z) < float("inf")
    x, y, z = tl.where(finite, x, 1e30), tl.where(finite, y, 0.0), tl.where(finite, z, 0.0)
    flip = (x < 0) | ((x == 0) & ((y < 0) | ((y == 0) & (z < 0))))
    sign = tl.where(flip, -1.0, 1.0).to(x.dtype)
    return x * sign, y * sign, z * sign, sign, finite


@triton.jit
@no_type_check
def place(rotation, k, p, there, size):
    """Points ``p`` of one image, in grid steps, ``mirrored``. rotation: of that image; k: of all points."""
    kx = tl.load(k + 2 * p, mask=there, other=0.0)
    ky = tl.load(k + 2 * p + 1, mask=there, other=0.0)
    x = (tl.load(rotation) * kx + tl.load(rotation + 3) * ky) * size
    y = (tl.load(rotation + 1) * kx + tl.load(rotation + 4) * ky) * size
    z = (tl.load(rotation + 2) * kx + tl.load(rotation + 5) * ky) * size
    return mirrored(x, y, z)


@triton.jit
@no_type_check
def inside(x, y, z, depth, height, width):
    """Whether all eight corners are on the grid."""
    across = (x < width - 1) & (y >= -(height // 2)) & (y < height // 2 - 1)
    return across & (z >= -(depth // 2)) & (z < depth // 2 - 1)


@triton.jit
@no_type_check
def seen(numerator, weight, rotation, k, size, image, points, p, depth, height, width):
    """Points ``p`` of one image: x, y, z, and the sign of ``mirrored``; which have all corners on the grid; the
    numerator, mirrored alike, as two real numbers; and the weight, NaN where the pose is no number: that must show."""
    there, at = p < points, image * points + p
    x, y, z, sign, finite = place(rotation + 9 * image, k, p, there, size)
    wanted = there & inside(x, y, z, depth, height, width)
    real = tl.load(numerator + 2 * at, mask=there, other=0.0)
    imaginary = tl.load(numerator + 2 * at + 1, mask=there, other=0.0) * sign
    w = tl.load(weight + at, mask=there, other=0.0)
    return x, y, z, sign, wanted, real, imaginary, tl.where(there & ~finite, float("nan"), w)


@triton.jit
@no_type_check
def corner_of(x, y, z, corner: tl.constexpr, depth, height, width):
    """One corner of each point: its place among the nodes, whether it is on the grid, and its share of the point."""
    right: tl.constexpr = corner & 1
    up: tl.constexpr = (corner >> 1) & 1
    deep: tl.constexpr = corner >> 2
    ix, iy, iz = tl.floor(x), tl.floor(y), tl.floor(z)
    fx, fy, fz = x - ix, y - iy, z - iz
    jx, jy, jz = ix + right, iy + height // 2 + up, iz + depth // 2 + deep
    on = (jx < width) & (jy >= 0) & (jy < height) & (jz >= 0) & (jz < depth)
    share = (fx if right else 1 - fx) * (fy if up else 1 - fy) * (fz if deep else 1 - fz)
    row = tl.where(on, jz, 0).to(tl.int32) * height + tl.where(on, jy, 0).to(tl.int32)
    return (row * width + tl.where(on, jx, 0).to(tl.int32)).to(tl.int64), on, share  # below 2³¹ up to boxes of 800 px


@triton.jit
@no_type_check
def read(grid, x, y, z, depth, height, width, channels: tl.constexpr, first, lanes: tl.constexpr, wanted):
    """Real and imaginary parts [B, lanes] of the channels from ``first`` on at points [B]; grid: records of
    ``channels`` complex numbers."""
    number = 2 * first + tl.arange(0, 2 * lanes)
    value = tl.zeros([x.shape[0], 2 * lanes], grid.dtype.element_ty)
    for corner in tl.static_range(8):
        node, on, share = corner_of(x, y, z, corner, depth, height, width)
        at = grid + (node * (2 * channels))[:, None] + number[None, :]
        some = (on & wanted)[:, None] & (number < 2 * channels)[None, :]
        value += tl.load(at, mask=some, other=0.0) * share[:, None]
    return tl.split(tl.reshape(value, [x.shape[0], lanes, 2]))


@triton.jit
@no_type_check
def add(out, x, y, z, depth, height, width, floats, number, value, some):
    """Add value [B, F] to the numbers ``number`` [F] of the records around points [B], where ``some`` [B, F]; records
    have ``floats`` numbers. Atomic: the order of the additions, and with it the last bits, is not fixed."""
    for corner in tl.static_range(8):
        node, on, share = corner_of(x, y, z, corner, depth, height, width)
        at = out + (node * floats)[:, None] + number[None, :]
        part = (value * share[:, None]).to(out.dtype.element_ty)
        tl.atomic_add(at, part, mask=some & on[:, None], sem="relaxed")


def insertion_tiles(images: int, points: int, floats: int) -> tuple[tuple[int, int, int], dict[str, int]]:
    """The programs that insert ``points`` of each image into records of ``floats`` numbers, and the tile of each: up to
    32 numbers of a record by as many points as give each thread four."""
    record = min(RECORD, triton.next_power_of_2(floats))
    block = max(16, TILE // record)
    programs = images, triton.cdiv(points, block), triton.cdiv(floats, record)
    return programs, {"record": record, "block": block}
