"""The latent coordinates of a run, checked: which particles have a usable z, and what is odd about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hypermol.errors import DataError
from hypermol.shapes import Float, Int

FEW = 50


@dataclass(frozen=True)
class Latent:
    """The n particles of N that have a finite z.

    ``z`` [n, d] float64; ``row`` [n] their rows (0-based) in the input; ``count`` N; ``notes`` oddities in words.
    """

    z: Float[np.ndarray, "n d"]
    row: Int[np.ndarray, " n"]
    count: int
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """n, the particles with a finite z."""
        return self.z.shape[0]

    @property
    def dimensions(self) -> int:
        """d."""
        return self.z.shape[1]

    @property
    def constant(self) -> bool:
        """True when all particles share one z (collapse, or a single particle)."""
        return bool(np.ptp(self.z, axis=0).max() <= 1e-12 * (1.0 + np.abs(self.z).max()))

    def subset(self, index: Int[np.ndarray, " m"]) -> Latent:
        """The particles at positions ``index`` of ``z``; notes are dropped."""
        return Latent(self.z[index], self.row[index], self.count)

    def scatter(self, values: np.ndarray, fill: float = np.nan) -> np.ndarray:
        """``values`` [n, ...] per usable particle spread to all N rows, ``fill`` elsewhere."""
        out = np.full((self.count, *values.shape[1:]), fill, dtype=values.dtype)
        out[self.row] = values
        return out


def check_latent(z: np.ndarray) -> Latent:
    """Take z [N] or [N, d] of a run; leave out particles whose z is NaN or infinite.

    Raises DataError when z has another number of axes, no columns, or no finite row.
    """
    z = np.asarray(z, dtype=np.float64)
    if z.ndim == 1:
        z = z[:, None]
    if z.ndim != 2 or z.shape[1] == 0:
        raise DataError(f"z: expected one row of latent coordinates per particle [N, d], found shape {z.shape}")
    row = np.flatnonzero(np.isfinite(z).all(axis=1))
    if row.size == 0:
        raise DataError(
            f"z: none of the {z.shape[0]} particles has a finite latent coordinate; "
            "the run may have diverged (see its log), or the method infers no z"
        )
    latent = Latent(z[row], row, z.shape[0])
    return Latent(latent.z, row, latent.count, tuple(_oddities(latent)))


def _oddities(latent: Latent) -> list[str]:
    notes = []
    missing = latent.count - latent.size
    if missing:
        notes.append(f"{missing:,} of {latent.count:,} particles have no finite z and are left out of the landscape.")
    if latent.size < FEW:
        notes.append(f"Only {latent.size} particles have a z: clusters and paths of so few are of little meaning.")
    if latent.constant and latent.size > 1:
        notes.append(
            "All particles have the same z: the model has not used it (posterior collapse), "
            "so there is one map and no motion to show."
        )
    return notes


def subsample(size: int, limit: int, seed: int) -> Int[np.ndarray, " m"]:
    """At most ``limit`` of ``size`` positions, ascending, drawn without replacement from ``seed``."""
    if size <= limit:
        return np.arange(size)
    return np.sort(np.random.default_rng([seed, size, limit]).choice(size, limit, replace=False))
