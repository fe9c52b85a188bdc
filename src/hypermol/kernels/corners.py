"""The walk of the compiled loops over the eight corners around a point. Imports numba: import it only where it is used.

One record per node holds everything that is read there or added to it, so that two corners that are neighbours along x
cost one stretch of memory; points are formed from the rotation on the way and never stored. All functions are inlined:
numba does not see when a cached loop is older than this file (delete ``__pycache__`` after a change).
"""

import math
from typing import Any, no_type_check

import numba
import numpy as np


@numba.njit(cache=True, inline="always")
@no_type_check
def place(rotation: Any, kx: Any, ky: Any, size: Any) -> Any:
    """The point in the stored half of space, in grid steps, and whether it was mirrored to get there."""
    x = (rotation[0, 0] * kx + rotation[1, 0] * ky) * size
    y = (rotation[0, 1] * kx + rotation[1, 1] * ky) * size
    z = (rotation[0, 2] * kx + rotation[1, 2] * ky) * size
    flip = x < 0 or (x == 0 and (y < 0 or (y == 0 and z < 0)))
    if flip:
        return -x, -y, -z, flip
    return x, y, z, flip


@numba.njit(cache=True, inline="always")
@no_type_check
def inside(x: Any, y: Any, z: Any, shape: Any) -> Any:
    """Whether all eight corners are on the grid; false for numbers that are none."""
    high, depth = shape[1] // 2, shape[0] // 2
    return x < shape[2] - 1 and y >= -high and y < high - 1 and z >= -depth and z < depth - 1


@numba.njit(cache=True, inline="always")
@no_type_check
def pair(x: Any, y: Any, z: Any, corner: Any, shape: Any) -> Any:
    """One of the four pairs of corners that are neighbours along x: the place of the nearer node among all, the plane
    that it lies in, and the share of the point that belongs to the nearer and to the farther."""
    ix, iy, iz = math.floor(x), math.floor(y), math.floor(z)
    fx, fy, fz = x - ix, y - iy, z - iz
    jy, jz = iy + shape[1] // 2 + (corner & 1), iz + shape[0] // 2 + (corner >> 1)
    side = (fy if corner & 1 else 1 - fy) * (fz if corner >> 1 else 1 - fz)
    return (jz * shape[1] + jy) * shape[2] + ix, jz, side * (1 - fx), side * fx


@numba.njit(cache=True, inline="always")
@no_type_check
def read(flat: Any, shape: Any, x: Any, y: Any, z: Any, value: Any) -> None:
    """value = trilinear interpolation of the records around the point; ``flat``: a grid of ``shape`` as flat memory."""
    floats = value.shape[0]
    value[:] = 0
    for corner in range(4):
        node, _, near, far = pair(x, y, z, corner, shape)
        start = np.uintp(node * floats)
        for c in range(floats):
            value[c] += flat[start + np.uintp(c)] * near + flat[start + np.uintp(floats + c)] * far


@numba.njit(cache=True, inline="always")
@no_type_check
def add(flat: Any, shape: Any, x: Any, y: Any, z: Any, value: Any, parts: Any, part: Any) -> None:
    """The adjoint of ``read``, into the planes z mod parts = part alone."""
    floats = value.shape[0]
    for corner in range(4):
        node, plane, near, far = pair(x, y, z, corner, shape)
        if plane % parts != part:
            continue
        start = np.uintp(node * floats)
        for c in range(floats):
            flat[start + np.uintp(c)] += value[c] * near
            flat[start + np.uintp(floats + c)] += value[c] * far
