"""The compiled loops of the statistics of separate maps. Imports numba: import this module only where it is used."""

import math
from typing import Any, no_type_check

import numba
import numpy as np

from hypermol.kernels.corners import inside, pair, place, read


@numba.njit(cache=True, parallel=True)
@no_type_check
def slice_separate(
    grid: Any, numerator: Any, weight: Any, rotation: Any, order: Any, k: Any, size: Any, power: Any, overlap: Any
) -> None:
    """power[i, c] and overlap[i, c] of image i; grid: records of C real and imaginary parts."""
    floats = grid.shape[3]
    channels = floats // 2
    flat = grid.reshape(-1)
    for turn in numba.prange(order.shape[0]):
        i = order[turn]
        value = np.empty(floats, grid.dtype)
        powers, overlaps = np.zeros(channels), np.zeros(channels)
        for p in range(k.shape[0]):
            x, y, z, flip = place(rotation[i], k[p, 0], k[p, 1], size)
            if not inside(x, y, z, grid.shape):
                if not math.isfinite(x + y + z):
                    powers[:] = np.nan
                continue
            read(flat, grid.shape, x, y, z, value)
            real, imaginary = numerator[i, p].real, numerator[i, p].imag
            if flip:
                imaginary = -imaginary
            for c in range(channels):
                first, second = value[2 * c], value[2 * c + 1]
                overlaps[c] += first * real + second * imaginary
                powers[c] += (first * first + second * second) * weight[i, p]
        for c in range(channels):
            power[i, c] = 2 * powers[c]
            overlap[i, c] = 2 * overlaps[c]


@numba.njit(cache=True, parallel=True)
@no_type_check
def insert_separate(
    numerator: Any,
    weight: Any,
    rotation: Any,
    order: Any,
    first: Any,
    second: Any,
    half: Any,
    k: Any,
    size: Any,
    out: Any,
    parts: int,
) -> None:
    """Add image i to out[half[i]], in this order; a thread owns a half, and of it the planes z mod parts = its part."""
    halves, floats = out.shape[0], out.shape[4]
    channels = first.shape[1]
    for job in numba.prange(halves * parts):
        own, part = job % halves, job // halves
        flat = out[own].reshape(-1)
        maps = np.empty(channels, np.int64)
        for i in order:
            if half[i] != own:
                continue
            used = 0
            for c in range(channels):
                if second[i, c] != 0:
                    maps[used] = c
                    used += 1
            for p in range(k.shape[0]):
                x, y, z, flip = place(rotation[i], k[p, 0], k[p, 1], size)
                if not inside(x, y, z, out.shape[1:]):
                    continue
                real, imaginary = numerator[i, p].real, numerator[i, p].imag
                if flip:
                    imaginary = -imaginary
                for corner in range(4):
                    node, plane, near, far = pair(x, y, z, corner, out.shape[1:])
                    if plane % parts != part:
                        continue
                    start = node * floats
                    for u in range(used):
                        c = maps[u]
                        here, next_ = np.uintp(start + 3 * c), np.uintp(start + floats + 3 * c)
                        share, mass = first[i, c], second[i, c] * weight[i, p]
                        flat[here] += real * share * near
                        flat[here + np.uintp(1)] += imaginary * share * near
                        flat[here + np.uintp(2)] += mass * near
                        flat[next_] += real * share * far
                        flat[next_ + np.uintp(1)] += imaginary * share * far
                        flat[next_ + np.uintp(2)] += mass * far
