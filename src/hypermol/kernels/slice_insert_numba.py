"""Slice and insert on the CPU with numba, on numpy arrays; held to the torch reference by the same tests.

Slicing is parallel over points. Inserting is parallel over planes of the grid: each of T threads walks all
samples in order and fills only its own z planes (z mod T), so that no two threads write to one place and each
grid point adds its samples in the same order whatever T is: the same bits for any number of threads.
"""

from functools import cache
from typing import Any

import numpy as np

from hypermol.kernels.compiled import start
from hypermol.kernels.slice_insert import check_grid


def slice_grid(grid: np.ndarray, k3: np.ndarray, box: int, oversampling: int = 2) -> np.ndarray:
    """Values [..., P, C] of a half grid [oD, oD, oD/2 + 1, C] at points [..., P, 3] (cycles/pixel).

    Raises ConfigError where the grid is not that of ``box`` and ``oversampling``.
    """
    check_grid(grid.shape[:3], box, oversampling)
    points = np.ascontiguousarray(k3).reshape(-1, 3)
    values = np.empty((points.shape[0], grid.shape[-1]), grid.dtype)
    _compiled()["slice"](np.ascontiguousarray(grid), points, points.dtype.type(box * oversampling), values)
    return values.reshape(*k3.shape[:-1], grid.shape[-1])


def slice_slope(gradient: np.ndarray, grid: np.ndarray, k3: np.ndarray, box: int, oversampling: int = 2) -> np.ndarray:
    """Gradient in the points [..., P, 3] of a real function whose gradient in the sliced values is ``gradient``
    [..., P, C] (torch's convention of complex gradients)."""
    points = np.ascontiguousarray(k3).reshape(-1, 3)
    found = np.empty_like(points)
    whole = np.ascontiguousarray(gradient).reshape(-1, grid.shape[-1])
    _compiled()["slope"](whole, np.ascontiguousarray(grid), points, points.dtype.type(box * oversampling), found)
    return found.reshape(k3.shape)


def insert_grid(
    values: np.ndarray,
    weights: np.ndarray | None,
    k3: np.ndarray,
    box: int,
    oversampling: int = 2,
    out: tuple[np.ndarray, np.ndarray | None] | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Adjoint of ``slice_grid``; see ``slice_insert.insert_grid``. ``out`` must be contiguous."""
    from hypermol.kernels.grid import grid_shape

    shape = grid_shape(box, oversampling)
    if out is None:
        grid = np.zeros((*shape, values.shape[-1]), values.dtype)
        out = grid, None if weights is None else np.zeros(shape, weights.dtype)
    grid, weight_grid = out
    check_grid(grid.shape[:3], box, oversampling)
    points = np.ascontiguousarray(k3).reshape(-1, 3)
    size = points.dtype.type(box * oversampling)
    insert, parts = _compiled()["insert"], _threads()
    insert(np.ascontiguousarray(values).reshape(-1, values.shape[-1]), points, size, grid, parts)
    if weights is not None and weight_grid is not None:
        column = np.ascontiguousarray(weights).reshape(-1, 1)
        insert(column, points, size, weight_grid[..., None], parts)
    return grid, weight_grid


def _threads() -> int:
    import numba

    return numba.get_num_threads()


@cache
def _compiled() -> dict[str, Any]:
    from hypermol.kernels import numba_loops

    start()
    return {"slice": numba_loops.slice_points, "slope": numba_loops.slope_of_slice, "insert": numba_loops.insert_points}
