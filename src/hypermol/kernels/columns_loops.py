"""The compiled loop of covariance columns. Imports numba: import this module only where it is used."""

import math
from typing import Any, no_type_check

import numba
import numpy as np

from hypermol.kernels.corners import add, inside, place


@numba.njit(cache=True)
@no_type_check
def _near(
    numerator: Any, weight: Any, rotation: Any, place: Any, width: Any, table: Any, share: Any, chosen: Any, flip: Any
) -> Any:
    """The pixels of one slice within ``width`` of the place: how many, Σ K n and Σ K w; their K, row, and whether it
    is the conjugate that is near."""
    qx = rotation[0, 0] * place[0] + rotation[0, 1] * place[1] + rotation[0, 2] * place[2]
    qy = rotation[1, 0] * place[0] + rotation[1, 1] * place[1] + rotation[1, 2] * place[2]
    qz = rotation[2, 0] * place[0] + rotation[2, 1] * place[1] + rotation[2, 2] * place[2]
    found, real, imaginary, total = 0, 0.0, 0.0, 0.0
    if not abs(qz) < width:
        return found, real, imaginary, total
    largest = table.shape[1] - 1
    for y in range(math.ceil(qy - width), math.floor(qy + width) + 1):
        for x in range(math.ceil(qx - width), math.floor(qx + width) + 1):
            kernel = 1 - math.sqrt((x - qx) ** 2 + (y - qy) ** 2 + qz * qz) / width
            if kernel <= 0 or abs(x) > largest or abs(y) > largest:
                continue
            mirrored = x < 0 or table[y + largest, abs(x)] < 0
            p = table[largest - y, -x] if mirrored and x <= 0 else table[y + largest, abs(x)]
            if p < 0:
                continue
            share[found], chosen[found], flip[found] = kernel, p, mirrored
            found += 1
            real += kernel * numerator[p].real
            imaginary += kernel * (-numerator[p].imag if mirrored else numerator[p].imag)
            total += kernel * weight[p]
    return found, real, imaginary, total


@numba.njit(cache=True, parallel=True)
@no_type_check
def insert_columns(
    numerator: Any,
    weight: Any,
    rotation: Any,
    order: Any,
    half: Any,
    places: Any,
    width: Any,
    table: Any,
    k: Any,
    size: Any,
    out: Any,
) -> None:
    """Add image i to out[half[i], m], in this order; a thread owns a column of a half."""
    halves, columns, floats = out.shape[0], out.shape[1], out.shape[5]
    most = (2 * math.ceil(width) + 1) ** 2
    for job in numba.prange(halves * columns):
        own, m = job % halves, job // halves
        flat = out[own, m].reshape(-1)
        value, noise = np.empty(floats, out.dtype), np.zeros(2 * k.shape[0], out.dtype)
        share, chosen, flip = np.empty(most), np.empty(most, np.int64), np.empty(most, np.bool_)
        for i in order:
            if half[i] != own:
                continue
            found, first, second, total = _near(
                numerator[i], weight[i], rotation[i], places[m], width, table, share, chosen, flip
            )
            if found == 0:
                continue
            for c in range(found):
                p = chosen[c]
                noise[2 * p] = 0.5 * share[c] * weight[i, p]
                noise[2 * p + 1] = -noise[2 * p] if flip[c] else noise[2 * p]
            for p in range(k.shape[0]):
                x, y, z, mirror = place(rotation[i], k[p, 0], k[p, 1], size)
                if not inside(x, y, z, out.shape[2:]):
                    continue
                real, imaginary = numerator[i, p].real, numerator[i, p].imag
                sign = -1 if mirror else 1
                value[0], value[1] = real * first - noise[2 * p], sign * imaginary * first
                value[2], value[3] = real * second, sign * (imaginary * second - noise[2 * p + 1])
                value[4] = weight[i, p] * total
                add(flat, out.shape[2:], x, y, z, value, 1, 0)
            for c in range(found):
                noise[2 * chosen[c]] = noise[2 * chosen[c] + 1] = 0
