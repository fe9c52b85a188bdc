"""The compiled loops of slice and insert. Imports numba: import this module only where it is used.

Grids are walked as flat memory with unsigned offsets, because the check for negative (wrapping) indices costs as
much as the interpolation itself. ``no_type_check``: numba needs the bare functions, not checked ones.
"""

import math
from typing import Any, no_type_check

import numba
import numpy as np


@numba.njit(cache=True, inline="always")
@no_type_check
def _flipped(x: Any, y: Any, z: Any) -> Any:
    return x < 0 or (x == 0 and (y < 0 or (y == 0 and z < 0)))


@numba.njit(cache=True, parallel=True)
@no_type_check
def slice_points(grid: Any, points: Any, size: Any, values: Any) -> None:
    """values[n, c] = trilinear interpolation of grid[z, y, x, c] at points[n] · size."""
    depth, height, width, channels = grid.shape
    flat = grid.reshape(-1)
    for n in numba.prange(points.shape[0]):
        x, y, z = points[n, 0] * size, points[n, 1] * size, points[n, 2] * size
        if not math.isfinite(x + y + z):
            for c in range(channels):
                values[n, c] = np.nan
            continue
        flip = _flipped(x, y, z)
        if flip:
            x, y, z = -x, -y, -z
        for c in range(channels):
            values[n, c] = 0
        if x >= width:
            continue
        ix, iy, iz = math.floor(x), math.floor(y), math.floor(z)
        fx, fy, fz = x - ix, y - iy, z - iz
        iy += height // 2
        iz += depth // 2
        for corner in range(4):
            jy, jz = iy + (corner & 1), iz + (corner >> 1)
            if jy < 0 or jy >= height or jz < 0 or jz >= depth:
                continue
            weight = (fy if corner & 1 else 1 - fy) * (fz if corner >> 1 else 1 - fz)
            start = ((jz * height + jy) * width + ix) * channels
            for c in range(channels):
                values[n, c] += flat[np.uintp(start + c)] * (weight * (1 - fx))
            if ix + 1 < width:
                for c in range(channels):
                    values[n, c] += flat[np.uintp(start + channels + c)] * (weight * fx)
        if flip:
            for c in range(channels):
                values[n, c] = np.conj(values[n, c])


@numba.njit(cache=True, parallel=True)
@no_type_check
def slope_of_slice(gradient: Any, grid: Any, points: Any, size: Any, found: Any) -> None:
    """found[n] = Re Σ_c conj(gradient[n, c]) · d(values of ``slice_points``)[n, c] / d points[n]."""
    depth, height, width, channels = grid.shape
    flat = grid.reshape(-1)
    for n in numba.prange(points.shape[0]):
        x, y, z = points[n, 0] * size, points[n, 1] * size, points[n, 2] * size
        sx, sy, sz = 0 * x, 0 * x, 0 * x
        flip = _flipped(x, y, z)
        if flip:
            x, y, z = -x, -y, -z
        if math.isfinite(x + y + z) and x < width:
            ix, iy, iz = math.floor(x), math.floor(y), math.floor(z)
            fx, fy, fz = x - ix, y - iy, z - iz
            iy += height // 2
            iz += depth // 2
            for corner in range(4):
                jy, jz = iy + (corner & 1), iz + (corner >> 1)
                if jy < 0 or jy >= height or jz < 0 or jz >= depth:
                    continue
                wy, dy = (fy, 1) if corner & 1 else (1 - fy, -1)
                wz, dz = (fz, 1) if corner >> 1 else (1 - fz, -1)
                start = ((jz * height + jy) * width + ix) * channels
                near, far = 0 * fx, 0 * fx
                for c in range(channels):
                    g = gradient[n, c] if flip else np.conj(gradient[n, c])
                    near += (g * flat[np.uintp(start + c)]).real
                    if ix + 1 < width:
                        far += (g * flat[np.uintp(start + channels + c)]).real
                sx += (far - near) * (wy * wz)
                between = near * (1 - fx) + far * fx
                sy += between * (dy * wz)
                sz += between * (wy * dz)
        scale = -size if flip else size
        found[n, 0], found[n, 1], found[n, 2] = sx * scale, sy * scale, sz * scale


@numba.njit(cache=True, parallel=True)
@no_type_check
def insert_points(values: Any, points: Any, size: Any, grid: Any, parts: int) -> None:
    """Add values[n, c] to grid[z, y, x, c] around points[n] · size; thread t owns the planes z mod parts = t."""
    depth, height, width, channels = grid.shape
    flat = grid.reshape(-1)
    for part in numba.prange(parts):
        for n in range(points.shape[0]):
            x, y, z = points[n, 0] * size, points[n, 1] * size, points[n, 2] * size
            if not math.isfinite(x + y + z):
                if part == 0:
                    flat[0] += np.nan  # a pose that is not a number must show, not vanish
                continue
            flip = _flipped(x, y, z)
            if flip:
                x, y, z = -x, -y, -z
            if x >= width:
                continue
            ix, iy, iz = math.floor(x), math.floor(y), math.floor(z)
            fx, fy, fz = x - ix, y - iy, z - iz
            iy += height // 2
            iz += depth // 2
            for corner in range(4):
                jy, jz = iy + (corner & 1), iz + (corner >> 1)
                if jy < 0 or jy >= height or jz < 0 or jz >= depth or jz % parts != part:
                    continue
                weight = (fy if corner & 1 else 1 - fy) * (fz if corner >> 1 else 1 - fz)
                start = ((jz * height + jy) * width + ix) * channels
                for c in range(channels):
                    value = np.conj(values[n, c]) if flip else values[n, c]
                    flat[np.uintp(start + c)] += value * (weight * (1 - fx))
                    if ix + 1 < width:
                        flat[np.uintp(start + channels + c)] += value * (weight * fx)
