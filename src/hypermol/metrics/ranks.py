"""Rows of distances from each particle to all others, a few at a time, and who is among the nearest.

Equal distances share the places they compete for, so that a constant z knows nothing instead of whatever the order of
the rows would tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from hypermol.errors import DataError
from hypermol.shapes import Float

Rows = Callable[[int, int], np.ndarray]
"""(start, stop) → distances [stop - start, n] of these particles to all; to themselves infinite."""

BLOCK = 2**22
"""Distances held at once. It never changes a result."""


def rows_of_points(points: Float[np.ndarray, "n d"]) -> Rows:
    """Rows of the Euclidean distances between points. Raises DataError where a point is not finite."""
    from scipy.spatial.distance import cdist

    _require_finite(points)
    # cdist subtracts before it squares: equal points are exactly 0 apart
    return lambda start, stop: _without_self(cdist(points[start:stop], points), start)


def rows_of_distances(distances: Float[np.ndarray, "n n"]) -> Rows:
    """Rows of a given matrix of distances. Raises DataError where one is not finite."""
    _require_finite(distances)
    return lambda start, stop: _without_self(distances[start:stop].astype(np.float64), start)


def paired_blocks(first: Rows, second: Rows, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same rows of both, block by block."""
    step = max(1, BLOCK // count)
    for start in range(0, count, step):
        stop = min(count, start + step)
        yield first(start, stop), second(start, stop)


def nearest(distances: Float[np.ndarray, "r n"], k: int) -> Float[np.ndarray, "r n"]:
    """1 for each of the ``k`` nearest of a row, 0 for the others; those tied for the last places share them."""
    last = np.partition(distances, k - 1, axis=1)[:, k - 1 : k]
    inside, tied = distances < last, distances == last
    places = k - inside.sum(1, keepdims=True)
    return inside + tied * (places / tied.sum(1, keepdims=True))


def require_neighbours(first: np.ndarray, second: np.ndarray, k: int) -> int:
    """The number of particles. Raises DataError where the two differ in it or it is not more than ``k`` + 1."""
    if len(first) != len(second):
        raise DataError(f"neighbours: expected the same particles twice, found {len(first)} and {len(second)}")
    if k < 1 or len(first) < k + 2:
        raise DataError(f"neighbours: {k} nearest need at least {max(k, 1) + 2} particles, found {len(first)}")
    return len(first)


def _without_self(block: np.ndarray, start: int) -> np.ndarray:
    row = np.arange(len(block))
    block[row, start + row] = np.inf
    return block


def _require_finite(values: np.ndarray) -> None:
    if not np.isfinite(values).all():
        raise DataError(f"distances: {np.count_nonzero(~np.isfinite(values))} values are NaN or infinite")
