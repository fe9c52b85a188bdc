"""The compiled loops of ``spread``. Imported only when needed, since it imports numba."""

from __future__ import annotations

import numpy as np
from numba import njit

from hypermol.simulation.spread import REACH, SPAN, WIDTH

_INVERSE = np.float32(1.0 / WIDTH**2)
_HALF = np.float32(0.5)
_REACH = np.float32(REACH)
_CONSTANTS = tuple(
    np.float32(np.exp(-0.5 * (j - REACH) ** 2 / WIDTH**2) / (np.sqrt(2 * np.pi) * WIDTH)) for j in range(SPAN)
)


@njit(nogil=True, fastmath=True, cache=True, inline="always")
def _along_axis(x, centre, constants, table):  # type: ignore[no-untyped-def]
    """First sample of the window around x; table [SPAN] gets the Gaussian there, from two exponentials."""
    nearest = int(np.floor(x + 0.5))
    d = np.float32(x - nearest)
    ratio = np.exp(d * _INVERSE)
    value = np.exp(-_HALF * d * d * _INVERSE - _REACH * d * _INVERSE)
    for j in range(SPAN):
        table[j] = value * constants[j]
        value *= ratio
    return nearest + centre - REACH


@njit(nogil=True, fastmath=True, cache=True, inline="always")
def _add_window(grid, tx, ty, ix, iy, weight):  # type: ignore[no-untyped-def]
    size = grid.shape[0]
    if ix >= 0 and iy >= 0 and ix + SPAN <= size and iy + SPAN <= size:
        flat = grid.reshape(-1)
        base = iy * size + ix
        for j in range(SPAN):
            v = weight * ty[j]
            row = flat[base : base + SPAN]
            for i in range(SPAN):
                row[i] += v * tx[i]
            base += size
    else:
        for j in range(max(0, -iy), min(SPAN, size - iy)):
            for i in range(max(0, -ix), min(SPAN, size - ix)):
                grid[iy + j, ix + i] += weight * ty[j] * tx[i]


@njit(nogil=True, fastmath=True, cache=True)
def spread_images(grids, positions, weights, matrices, offsets, scale):  # type: ignore[no-untyped-def]
    """See ``spread.spread_images``; scale: grid steps per Å."""
    centre = grids.shape[1] // 2
    constants = np.array(_CONSTANTS)
    tx, ty = np.empty(SPAN, np.float32), np.empty(SPAN, np.float32)
    for b in range(grids.shape[0]):
        m, t = matrices[b] * scale, offsets[b] * scale
        place = positions[b if positions.shape[0] > 1 else 0]
        weight = weights[b if weights.shape[0] > 1 else 0]
        for a in range(place.shape[0]):
            px, py, pz = place[a, 0], place[a, 1], place[a, 2]
            ix = _along_axis(m[0, 0] * px + m[0, 1] * py + m[0, 2] * pz + t[0], centre, constants, tx)
            iy = _along_axis(m[1, 0] * px + m[1, 1] * py + m[1, 2] * pz + t[1], centre, constants, ty)
            _add_window(grids[b], tx, ty, ix, iy, np.float32(weight[a]))


@njit(nogil=True, fastmath=True, cache=True)
def spread_map(grid, positions, weights, scale):  # type: ignore[no-untyped-def]
    """See ``spread.spread_map``; scale: grid steps per Å."""
    size = grid.shape[0]
    constants = np.array(_CONSTANTS)
    tx, ty, tz = np.empty(SPAN, np.float32), np.empty(SPAN, np.float32), np.empty(SPAN, np.float32)
    for a in range(positions.shape[0]):
        ix = _along_axis(positions[a, 0] * scale, size // 2, constants, tx)
        iy = _along_axis(positions[a, 1] * scale, size // 2, constants, ty)
        iz = _along_axis(positions[a, 2] * scale, size // 2, constants, tz)
        w = np.float32(weights[a])
        left, right = max(0, -ix), min(SPAN, size - ix)
        for k in range(max(0, -iz), min(SPAN, size - iz)):
            for j in range(max(0, -iy), min(SPAN, size - iy)):
                v = w * tz[k] * ty[j]
                for i in range(left, right):
                    grid[iz + k, iy + j, ix + i] += v * tx[i]
