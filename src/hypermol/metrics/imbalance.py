"""Information imbalance: how much of one space do the nearest in another tell (Glielmo et al. 2022, PNAS Nexus)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hypermol.metrics.ranks import (
    Rows,
    nearest,
    paired_blocks,
    require_neighbours,
    rows_of_distances,
    rows_of_points,
)
from hypermol.metrics.spaces import direction_points, pose_points
from hypermol.shapes import Float


class Imbalance(NamedTuple):
    """Δ(a → b) and Δ(b → a): near 0, the first tells all about the second; 1, it tells nothing.

    The least is (k + 1)/n: nearest in one is nearest in the other.
    """

    forward: float
    backward: float


def information_imbalance(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "n t"], k: int = 1) -> Imbalance:
    """Δ(a → b) = 2/n times the mean rank in b of the ``k`` nearest in a, and from b to a (Glielmo et al. 2022, eq. 1).

    Euclidean distances: scale the columns to comparable units first (z whitened; ``spaces`` for poses, angles, states).
    Equal distances share their mean rank, so that a constant is at exactly 1 in both directions. Where the truth is
    discrete the least is the share of a particle's own state. Raises DataError for fewer than k + 2 particles and NaN.
    """
    count = require_neighbours(a, b, k)
    return _imbalance(rows_of_points(a), rows_of_points(b), count, k)


def imbalance_of_distances(a: Float[np.ndarray, "n n"], b: Float[np.ndarray, "n n"], k: int = 1) -> Imbalance:
    """``information_imbalance`` of two given matrices of distances, such as those between the particles' maps."""
    count = require_neighbours(a, b, k)
    return _imbalance(rows_of_distances(a), rows_of_distances(b), count, k)


def nuisance_imbalance(
    z: Float[np.ndarray, "n d"],
    rotation: Float[np.ndarray, "n 3 3"] | None = None,
    ctf: Float[np.ndarray, "n c"] | None = None,
    k: int = 1,
) -> dict[str, Imbalance]:
    """Imbalance of z with what it must not know: "pose", "viewing direction" and "CTF", as far as given.

    forward is Δ(z → nuisance): 1 where z holds nothing of it, lower where it leaks. ctf: ``defocus_points``, or any
    parameters in comparable units.
    """
    others: dict[str, np.ndarray] = {}
    if rotation is not None:
        others |= {"pose": pose_points(rotation), "viewing direction": direction_points(rotation)}
    if ctf is not None:
        others["CTF"] = ctf
    return {name: information_imbalance(z, points, k) for name, points in others.items()}


def _imbalance(a: Rows, b: Rows, count: int, k: int) -> Imbalance:
    forward = backward = 0.0
    for one, other in paired_blocks(a, b, count):
        forward += _conditional_ranks(one, other, k)
        backward += _conditional_ranks(other, one, k)
    return Imbalance(2 * forward / (k * count**2), 2 * backward / (k * count**2))


def _conditional_ranks(near: np.ndarray, ranked: np.ndarray, k: int) -> float:
    """Sum of the ranks (1 … n - 1) in one space of the k nearest in the other."""
    from scipy.stats import rankdata

    weight = nearest(near, k)
    row, column = np.nonzero(weight)
    if len(row) > 2 * len(weight):
        return float((weight * rankdata(ranked, axis=1)).sum())
    # few are asked for: counting those that are nearer is faster than sorting
    own = ranked[row, column][:, None]
    rank = (ranked[row] < own).sum(1) + ((ranked[row] == own).sum(1) + 1) / 2
    return float(weight[row, column] @ rank)
