"""Groups of particles in z by density (HDBSCAN; Campello et al. 2013), joined where no valley of density is between."""

from __future__ import annotations

import numpy as np

from hypermol.conformations.separation import join_unseparated
from hypermol.shapes import Float, Int

FITTED = 10_000
SEPARATE = 20
"""Fewer particles are not searched for groups."""


def density_groups(z: Float[np.ndarray, "n d"], seed: int = 0, most: int = FITTED) -> Int[np.ndarray, " n"]:
    """Group 0, 1, … of each particle, -1 between groups; -1 for all where z does not differ or particles are few.

    Fitted on at most ``most`` particles, drawn from ``seed``; the others take the group of their nearest fitted
    neighbour.
    """
    if len(z) < SEPARATE or not np.ptp(z, axis=0).any():
        return np.full(len(z), -1, dtype=np.int64)
    if len(z) <= most:
        return _fitted(z)
    chosen = np.sort(np.random.default_rng([seed, len(z), most]).choice(len(z), most, replace=False))
    return of_nearest(z, z[chosen], _fitted(z[chosen]))


def of_nearest(
    z: Float[np.ndarray, "n d"], known: Float[np.ndarray, "m d"], label: Int[np.ndarray, " m"]
) -> Int[np.ndarray, " n"]:
    """The label of the nearest known point."""
    from scipy.spatial import cKDTree

    return label[cKDTree(known).query(z, workers=-1)[1]]


def _fitted(z: Float[np.ndarray, "m d"]) -> Int[np.ndarray, " m"]:
    from sklearn.cluster import HDBSCAN

    # enough neighbours that the density at a particle is not mostly chance
    around = min(max(10, round(0.01 * len(z))), len(z) - 1)
    model = HDBSCAN(min_cluster_size=max(5, round(0.02 * len(z))), min_samples=around, copy=True)
    joined = join_unseparated(z, model.fit(z).labels_.astype(np.int64))
    known = joined >= 0
    joined[known] = np.unique(joined[known], return_inverse=True)[1]  # joining leaves gaps
    return joined
