"""Neighbourhood similarity: are the particles nearest in z also nearest in truth?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hypermol.metrics.ranks import (
    Rows,
    nearest,
    paired_blocks,
    require_neighbours,
    rows_of_distances,
    rows_of_points,
)
from hypermol.shapes import Float


@dataclass(frozen=True)
class NeighbourScore:
    """share: of the k nearest in z, those that are also nearest in truth, 0 … 1 (1 best).

    chance: the share that a z without information reaches, k/(n - 1) where the truth has no ties.
    above_chance: (share - chance)/(1 - chance): 1 best, 0 nothing; NaN where all true distances are the same.
    """

    share: float
    chance: float

    @property
    def above_chance(self) -> float:
        return (self.share - self.chance) / (1 - self.chance) if self.chance < 1 else float("nan")


def neighbourhood_similarity(
    z: Float[np.ndarray, "n d"], truth: Float[np.ndarray, "n t"], k: int = 50
) -> NeighbourScore:
    """Mean over the particles of the share of their ``k`` nearest that z [n, d] and truth [n, t] have in common.

    Distances are Euclidean: give the truth in physical units, angles as ``circle_points``, states as ``state_points``.
    Equal distances share their places, and what is shared is divided by the most that any z can share: within a state
    each particle is as near as the others, and finding any of them is right. Jeon et al. 2024 (CryoBench) after Boggust
    et al. 2022; without ties share is Q_NX and above_chance R_NX of Lee et al. 2013. Raises DataError for fewer than
    k + 2 particles and for NaN.
    """
    count = require_neighbours(z, truth, k)
    return _score(rows_of_points(z), rows_of_points(truth), count, k)


def shared_neighbours(
    distances: Float[np.ndarray, "n n"], true_distances: Float[np.ndarray, "n n"], k: int = 50
) -> NeighbourScore:
    """``neighbourhood_similarity`` of given distances, such as those between the maps of the particles."""
    count = require_neighbours(distances, true_distances, k)
    return _score(rows_of_distances(distances), rows_of_distances(true_distances), count, k)


def _score(found: Rows, true: Rows, count: int, k: int) -> NeighbourScore:
    shared = chance = 0.0
    for near, truth in paired_blocks(found, true, count):
        near_truly = nearest(truth, k)
        most = (near_truly**2).sum(1)  # what the truth itself would share, k where it has no ties
        shared += float(((nearest(near, k) * near_truly).sum(1) / most).sum())
        chance += float((k**2 / (count - 1) / most).sum())
    return NeighbourScore(shared / count, chance / count)
