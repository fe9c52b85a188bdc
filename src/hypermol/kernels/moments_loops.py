"""The compiled loops of the statistics of linear families. Imports numba: import this module only where it is used."""

import math
from typing import Any, no_type_check

import numba
import numpy as np

from hypermol.kernels.corners import add, inside, place, read


@numba.njit(cache=True, parallel=True)
@no_type_check
def slice_moments(
    grid: Any, numerator: Any, weight: Any, rotation: Any, order: Any, k: Any, size: Any, gram: Any, projection: Any
) -> None:
    """gram[i, a, b] and projection[i, a] of image i; grid: records of C real and imaginary parts."""
    floats = grid.shape[3]
    channels = floats // 2
    flat = grid.reshape(-1)
    for turn in numba.prange(order.shape[0]):
        i = order[turn]
        value = np.empty(floats, grid.dtype)
        products, overlaps = np.zeros((channels, channels)), np.zeros(channels)
        for p in range(k.shape[0]):
            x, y, z, flip = place(rotation[i], k[p, 0], k[p, 1], size)
            if not inside(x, y, z, grid.shape):
                if not math.isfinite(x + y + z):
                    products[:] = np.nan
                continue
            read(flat, grid.shape, x, y, z, value)
            real, imaginary = numerator[i, p].real, numerator[i, p].imag
            if flip:
                imaginary = -imaginary
            for a in range(channels):
                first, second = value[2 * a], value[2 * a + 1]
                overlaps[a] += first * real + second * imaginary
                first, second = first * weight[i, p], second * weight[i, p]
                for b in range(a + 1):
                    products[a, b] += first * value[2 * b] + second * value[2 * b + 1]
        for a in range(channels):
            projection[i, a] = 2 * overlaps[a]
            for b in range(a + 1):
                gram[i, a, b] = gram[i, b, a] = 2 * products[a, b]


@numba.njit(cache=True, parallel=True)
@no_type_check
def insert_moments(
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
    channels, moments = first.shape[1], second.shape[1]
    for job in numba.prange(halves * parts):
        own, part = job % halves, job // halves
        flat = out[own].reshape(-1)
        value = np.empty(floats, out.dtype)
        for i in order:
            if half[i] != own:
                continue
            for p in range(k.shape[0]):
                x, y, z, flip = place(rotation[i], k[p, 0], k[p, 1], size)
                if not inside(x, y, z, out.shape[1:]):
                    continue
                real, imaginary = numerator[i, p].real, numerator[i, p].imag
                if flip:
                    imaginary = -imaginary
                for c in range(channels):
                    value[2 * c], value[2 * c + 1] = real * first[i, c], imaginary * first[i, c]
                for m in range(moments):
                    value[2 * channels + m] = weight[i, p] * second[i, m]
                add(flat, out.shape[1:], x, y, z, value, parts, part)


@numba.njit(cache=True, parallel=True)
@no_type_check
def solve_moments(sums: Any, prior: Any, out: Any) -> None:
    """out[z, y, x] solves (M + prior) v = n of each node whose squared radius has a prior, by Cholesky."""
    depth, height, width, _ = sums.shape
    channels = prior.shape[1]
    for iz in numba.prange(depth):
        matrix, lower, solution = np.zeros((channels, channels)), np.zeros((channels, channels)), np.zeros(channels)
        for iy in range(height):
            for ix in range(width):
                squared = (iz - depth // 2) ** 2 + (iy - height // 2) ** 2 + ix * ix
                if squared >= prior.shape[0]:
                    continue
                record, place, trace = sums[iz, iy, ix], 2 * channels, 0.0
                for a in range(channels):
                    for b in range(a + 1):
                        matrix[a, b] = record[place]
                        place += 1
                    matrix[a, a] += prior[squared, a]
                    trace += matrix[a, a]
                if not trace > 0:
                    continue
                for a in range(channels):
                    for b in range(a + 1):
                        rest = matrix[a, b]
                        for c in range(b):
                            rest -= lower[a, c] * lower[b, c]
                        lower[a, b] = math.sqrt(max(rest, 1e-12 * trace)) if a == b else rest / lower[b, b]
                for part in range(2):
                    for a in range(channels):
                        rest = np.float64(record[2 * a + part])
                        for c in range(a):
                            rest -= lower[a, c] * solution[c]
                        solution[a] = rest / lower[a, a]
                    for a in range(channels - 1, -1, -1):
                        rest = solution[a]
                        for c in range(a + 1, channels):
                            rest -= lower[c, a] * solution[c]
                        solution[a] = rest / lower[a, a]
                    for a in range(channels):
                        out[iz, iy, ix, 2 * a + part] = solution[a]
