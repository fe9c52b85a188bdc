"""The compiled loops of slice and insert. Imports numba: import this module only where it is used."""

import math
from typing import Any

import numba
import numpy as np


@numba.njit(cache=True, inline="always")
def _flipped(x: Any, y: Any, z: Any) -> Any:
    return x < 0 or (x == 0 and (y < 0 or (y == 0 and z < 0)))


@numba.njit(cache=True, parallel=True)
def slice_points(grid: Any, points: Any, size: Any, values: Any) -> None:
    """values[n, c] = trilinear interpolation of grid[z, y, x, c] at points[n] · size."""
    depth, height, width, channels = grid.shape
    for n in numba.prange(points.shape[0]):
        x, y, z = points[n, 0] * size, points[n, 1] * size, points[n, 2] * size
        flip = _flipped(x, y, z)
        if flip:
            x, y, z = -x, -y, -z
        ix, iy, iz = math.floor(x), math.floor(y), math.floor(z)
        fx, fy, fz = x - ix, y - iy, z - iz
        iy += height // 2
        iz += depth // 2
        for c in range(channels):
            values[n, c] = 0
        for corner in range(8):
            cx, cy, cz = corner & 1, corner >> 1 & 1, corner >> 2
            jx, jy, jz = ix + cx, iy + cy, iz + cz
            if 0 <= jx < width and 0 <= jy < height and 0 <= jz < depth:
                weight = (fx if cx else 1 - fx) * (fy if cy else 1 - fy) * (fz if cz else 1 - fz)
                for c in range(channels):
                    values[n, c] += grid[jz, jy, jx, c] * weight
        if flip:
            for c in range(channels):
                values[n, c] = np.conj(values[n, c])


@numba.njit(cache=True, parallel=True)
def insert_points(values: Any, points: Any, size: Any, grid: Any, parts: int) -> None:
    """Add values[n, c] to grid[z, y, x, c] around points[n] · size; thread t owns the planes z mod parts = t."""
    depth, height, width, channels = grid.shape
    for part in numba.prange(parts):
        for n in range(points.shape[0]):
            x, y, z = points[n, 0] * size, points[n, 1] * size, points[n, 2] * size
            flip = _flipped(x, y, z)
            if flip:
                x, y, z = -x, -y, -z
            ix, iy, iz = math.floor(x), math.floor(y), math.floor(z)
            fx, fy, fz = x - ix, y - iy, z - iz
            iy += height // 2
            iz += depth // 2
            for cz in range(2):
                jz = iz + cz
                if jz < 0 or jz >= depth or jz % parts != part:
                    continue
                for corner in range(4):
                    cx, cy = corner & 1, corner >> 1
                    jx, jy = ix + cx, iy + cy
                    if 0 <= jx < width and 0 <= jy < height:
                        weight = (fx if cx else 1 - fx) * (fy if cy else 1 - fy) * (fz if cz else 1 - fz)
                        for c in range(channels):
                            value = np.conj(values[n, c]) if flip else values[n, c]
                            grid[jz, jy, jx, c] += value * weight
