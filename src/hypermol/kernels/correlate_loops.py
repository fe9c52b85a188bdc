"""The compiled loop of candidate poses. Imports numba: import this module only where it is used."""

import math
from typing import Any, no_type_check

import numba
import numpy as np

from hypermol.kernels.corners import inside, place, read


@numba.njit(cache=True, inline="always")
@no_type_check
def _powers(turn: Any, out: Any) -> None:
    """out[j] = exp(-i turn (j - middle)): each number from the one before, in double precision."""
    middle = out.shape[0] // 2
    real, imaginary = math.cos(turn), -math.sin(turn)
    out[middle, 0], out[middle, 1] = 1.0, 0.0
    for j in range(middle):
        first, second = out[middle + j, 0], out[middle + j, 1]
        first, second = first * real - second * imaginary, first * imaginary + second * real
        out[middle + j + 1, 0], out[middle + j + 1, 1] = first, second
        out[middle - j - 1, 0], out[middle - j - 1, 1] = first, -second


@numba.njit(cache=True, parallel=True)
@no_type_check
def correlate_poses(
    grid: Any,
    numerator: Any,
    weight: Any,
    rotation: Any,
    shift: Any,
    pixels: Any,
    k: Any,
    size: Any,
    box: Any,
    out: Any,
) -> None:
    """out[i, h]: overlap, its two derivatives by the shift, the three numbers of their information, power."""
    points, largest = pixels.shape[0], np.abs(pixels).max() if pixels.shape[0] else 0
    flat, step = grid.reshape(-1), 2 * math.pi / box
    for i in numba.prange(rotation.shape[0]):
        value = np.empty(2, grid.dtype)
        along, across = np.empty((2 * largest + 1, 2)), np.empty((2 * largest + 1, 2))
        moved = np.empty((points, 2), grid.dtype)
        for h in range(rotation.shape[1]):
            if h == 0 or shift[i, h, 0] != shift[i, h - 1, 0] or shift[i, h, 1] != shift[i, h - 1, 1]:
                _powers(step * shift[i, h, 0], along)
                _powers(step * shift[i, h, 1], across)
                for p in range(points):  # the image moved back: neighbours of one candidate share their shift
                    a, b = along[pixels[p, 0] + largest], across[pixels[p, 1] + largest]
                    c, s = a[0] * b[0] - a[1] * b[1], -a[0] * b[1] - a[1] * b[0]
                    real, imaginary = numerator[i, p].real, numerator[i, p].imag
                    moved[p, 0], moved[p, 1] = real * c - imaginary * s, real * s + imaginary * c
            overlap = gx = gy = xx = xy = yy = power = 0.0
            for p in range(points):
                kx, ky = k[p, 0] * box, k[p, 1] * box
                x, y, z, flip = place(rotation[i, h], k[p, 0], k[p, 1], size)
                if not inside(x, y, z, grid.shape):
                    if not math.isfinite(x + y + z):
                        overlap = math.nan
                    continue
                read(flat, grid.shape, x, y, z, value)
                first, second = value[0], -value[1] if flip else value[1]
                expected = weight[i, p] * (first * first + second * second)
                power += expected
                xx += kx * kx * expected
                xy += kx * ky * expected
                yy += ky * ky * expected
                imaginary = second * moved[p, 0] - first * moved[p, 1]
                overlap += first * moved[p, 0] + second * moved[p, 1]
                gx += kx * imaginary
                gy += ky * imaginary
            row = out[i, h]
            row[0], row[1], row[2] = 2 * overlap, 2 * step * gx, 2 * step * gy
            row[3], row[4], row[5] = 2 * step * step * xx, 2 * step * step * xy, 2 * step * step * yy
            row[6] = 2 * power
