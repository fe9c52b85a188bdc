"""Which particles are unlike those that a run was trained on: by how well they fit, and by where their z lies.

Each score is compared with the same score of the run's own particles, looked at in the same way. Nothing is assumed of
how scores are distributed, and a particle is called unlike by chance as often as ``CHANCE`` says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from hypermol.shapes import Float

CHANCE = 0.01
NEIGHBOUR = 5
FEWEST = 50
LARGEST = 20_000
REASONS = (
    "they fit the maps less than the run's own do",
    "they hold more that the maps do not explain",
    "their z lies where none of the run's own does",
)


@dataclasses.dataclass(frozen=True)
class Alike:
    """Bounds between which the run's own particles lie: ``least_fit`` of (fit - 1) / fit_error, ``most_left`` of the
    residual, ``farthest`` of the distance to the fifth-nearest z; None where there is no z."""

    least_fit: float
    most_left: float
    z: _Neighbours | None
    compared: int

    @staticmethod
    def of(rows: Mapping[str, np.ndarray], z: np.ndarray | None) -> Alike:
        """rows: fit, fit_error and residual of some of the run's own particles; z [N, d] of all of them."""
        near = None if z is None or len(z) < FEWEST or not z.shape[1] else _Neighbours.of(z)
        share = CHANCE / (2 if near is None else 3)
        low, high = np.quantile(misfit(rows), share), np.quantile(rows["residual"], 1 - share)
        return Alike(float(low), float(high), near, len(rows["fit"]))

    def judged(self, rows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """outlier [N], 0 or 1; outlier_reason [N]: the sum of 1, 2 and 4 for each of ``REASONS`` that holds; z_distance
        [N]: 1 at the bound."""
        reasons = (misfit(rows) < self.least_fit) + 2 * (rows["residual"] > self.most_left)
        found: dict[str, np.ndarray] = {}
        if self.z is not None and "z" in rows:
            found["z_distance"] = self.z.distance(rows["z"]).astype(np.float32)
            reasons = reasons + 4 * (found["z_distance"] > 1)
        return {**found, "outlier": (reasons > 0).astype(np.int8), "outlier_reason": reasons.astype(np.int8)}


def misfit(rows: Mapping[str, np.ndarray]) -> np.ndarray:
    """By how many standard errors of the noise an image's fit lies above 1 (below: negative)."""
    return (rows["fit"].astype(np.float64) - 1) / rows["fit_error"]


@dataclasses.dataclass(frozen=True)
class _Neighbours:
    """Distance to the fifth-nearest of the run's own z, over that which ``CHANCE`` of them exceed; whitened."""

    points: Float[np.ndarray, "n d"]
    mean: Float[np.ndarray, " d"]
    whiten: Float[np.ndarray, "d d"]
    bound: float

    @staticmethod
    def of(z: Float[np.ndarray, "n d"]) -> _Neighbours:
        some = z[np.random.default_rng(0).permutation(len(z))[:LARGEST]].astype(np.float64)
        values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(some.T)))
        kept = values > 1e-9 * max(values.max(), 1e-30)
        whiten, mean = vectors[:, kept] / np.sqrt(values[kept]), some.mean(0)
        points = (some - mean) @ whiten
        own = _nearest(points, points, NEIGHBOUR + 1)  # the nearest is the point itself
        return _Neighbours(points, mean, whiten, max(float(np.quantile(own, 1 - CHANCE / 3)), 1e-9))

    def distance(self, z: Float[np.ndarray, "m d"]) -> Float[np.ndarray, " m"]:
        return _nearest(self.points, (z.astype(np.float64) - self.mean) @ self.whiten, NEIGHBOUR) / self.bound


def _nearest(points: np.ndarray, asked: np.ndarray, number: int) -> np.ndarray:
    from scipy.spatial import cKDTree

    found: np.ndarray = cKDTree(points).query(asked, k=[number])[0][:, 0]
    return found
