"""The compiled loop of the cubic B-spline. Imports numba: import this module only where it is used."""

import math
from typing import Any, no_type_check

import numba
import numpy as np


@numba.njit(cache=True, inline="always")
@no_type_check
def _weights(t: Any, weight: Any, slope: Any) -> None:
    one = 1 - t
    weight[0], slope[0] = one * one * one / 6, -one * one / 2
    weight[1], slope[1] = 2 / 3 - t * t * (2 - t) / 2, t * (3 * t - 4) / 2
    weight[2], slope[2] = 2 / 3 - one * one * (2 - one) / 2, one * (4 - 3 * one) / 2
    weight[3], slope[3] = t * t * t / 6, t * t / 2


@numba.njit(cache=True, parallel=True)
@no_type_check
def spline_values(coefficients: Any, places: Any, values: Any, slopes: Any) -> None:
    """values[n] and slopes[n, (x, y, z)] of the spline at places[n]."""
    size = coefficients.shape[0]
    flat = coefficients.reshape(-1)
    for n in numba.prange(places.shape[0]):
        x, y, z = places[n, 0], places[n, 1], places[n, 2]
        low, high = min(x, y, z), max(x, y, z)
        if not (math.isfinite(x + y + z) and low >= 1 and high < size - 2):
            values[n] = slopes[n, 0] = slopes[n, 1] = slopes[n, 2] = np.nan
            continue
        ix, iy, iz = int(x), int(y), int(z)
        weight, steep = np.empty((3, 4), places.dtype), np.empty((3, 4), places.dtype)
        _weights(x - ix, weight[0], steep[0])
        _weights(y - iy, weight[1], steep[1])
        _weights(z - iz, weight[2], steep[2])
        value = along_x = along_y = along_z = 0 * flat[0]
        for c in range(4):
            plane = plane_x = plane_y = 0 * flat[0]
            for b in range(4):
                start = ((iz + c - 1) * size + iy + b - 1) * size + ix - 1
                row = row_x = 0 * flat[0]
                for a in range(4):
                    tap = flat[np.uintp(start + a)]
                    row += tap * weight[0, a]
                    row_x += tap * steep[0, a]
                plane += row * weight[1, b]
                plane_x += row_x * weight[1, b]
                plane_y += row * steep[1, b]
            value += plane * weight[2, c]
            along_x += plane_x * weight[2, c]
            along_y += plane_y * weight[2, c]
            along_z += plane * steep[2, c]
        values[n] = value
        slopes[n, 0], slopes[n, 1], slopes[n, 2] = along_x, along_y, along_z
