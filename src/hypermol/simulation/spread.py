"""Spreading Gaussians onto fine grids (numba, released from Python's lock).

A narrow Gaussian of ``WIDTH`` grid steps stands for each atom; the exact width is put in afterwards, in
Fourier space (the fast Gaussian gridding of Greengard & Lee 2004, SIAM Review 46, 443). The grid has twice
the samples of the result, so that what folds back into the band is below 1e-5 of the signal there.
"""

from __future__ import annotations

import numpy as np

OVERSAMPLING = 2
WIDTH = 1.1
"""σ of the spreading Gaussian in grid steps: aliasing exp(-π² WIDTH²) = 7e-6 at the edge of the band."""
REACH = 5
"""Grid steps below the nearest sample; the Gaussian has fallen to 4e-6 beyond."""
SPAN = 2 * REACH + 2
"""Samples per axis: 12, three registers of four floats."""


def spread_images(
    grids: np.ndarray,
    positions: np.ndarray,
    weights: np.ndarray,
    matrices: np.ndarray,
    offsets: np.ndarray,
    step: float,
) -> None:
    """Add projected atoms to grids [B, F, F] (float32, origin at F//2) in place.

    positions: [B or 1, n, 3] Å. weights: [B or 1, n]. matrices: [B, 3, 3]. offsets: [B, 2] Å. step: Å.
    Parts of a Gaussian that fall outside the grid are dropped.
    """
    from hypermol.simulation import spread_numba

    spread_numba.spread_images(grids, _plain(positions), _plain(weights), _plain(matrices), _plain(offsets), 1.0 / step)


def spread_map(grid: np.ndarray, positions: np.ndarray, weights: np.ndarray, step: float) -> None:
    """Add atoms at positions [n, 3] Å to a grid [F, F, F] (z, y, x; float32; origin at F//2) in place."""
    from hypermol.simulation import spread_numba

    spread_numba.spread_map(grid, _plain(positions), _plain(weights), 1.0 / step)


def _plain(array: np.ndarray) -> np.ndarray:
    """The one layout that the loops are compiled for."""
    return np.ascontiguousarray(array, dtype=np.float64)


def spreading_filter(frequency_squared: np.ndarray, sigma: float, step: float) -> np.ndarray:
    """What turns the spectrum of the spread grid into that of Gaussians of width sigma (Å).

    frequency_squared: any shape, Å⁻². step: Å of the fine grid. The spread kernel sums to one over 3-D or
    2-D grids, hence only the two widths enter: exp(-2π² (σ² - (WIDTH step)²) k²).
    """
    return np.exp(-2 * np.pi**2 * (sigma**2 - (WIDTH * step) ** 2) * frequency_squared)
