"""Are two groups of points apart? Groups that no valley of density divides are joined.

Density clustering alone follows the fluctuations of a sample: it splits uniform and one-dimensional clouds into
pieces that are not there.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from hypermol.shapes import Float, Int

WINDOW = 0.2
SHALLOW = 0.6
SIGMAS = 3.0


def join_unseparated(z: Float[np.ndarray, "n d"], label: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Join groups (labels 0, 1, …; -1 for none) between which the density does not fall, the least divided first.

    Points in no group count with the nearest member of one. See ``depth`` for what divides two groups.
    """
    from scipy.spatial import cKDTree

    members = np.flatnonzero(label >= 0)
    if members.size == 0:
        return label
    nearest = label[members][cKDTree(z[members]).query(z, workers=-1)[1]]
    out = label.copy()
    depths = {
        pair: depth(z[nearest == pair[0]], z[nearest == pair[1]])
        for pair in combinations(map(int, np.unique(label[members])), 2)
    }
    while depths:
        (kept, gone), shallowest = max(depths.items(), key=lambda item: item[1])
        if shallowest < SHALLOW:
            break
        out[out == gone] = kept
        nearest[nearest == gone] = kept
        depths = {pair: value for pair, value in depths.items() if gone not in pair}
        for pair in depths:
            if kept in pair:
                depths[pair] = depth(z[nearest == pair[0]], z[nearest == pair[1]])
    return out


def depth(first: Float[np.ndarray, "a d"], second: Float[np.ndarray, "b d"]) -> float:
    """The density between two groups as a share of the density at the poorer one: 0 a gap, 1 and above no valley.

    Points are projected on the line between the means and counted in windows of a fifth of its length: the fullest
    near each mean, and the emptiest in the middle plus three Poisson deviations, so that few points divide nothing.
    """
    start, end = first.mean(axis=0), second.mean(axis=0)
    axis = end - start
    length = float(axis @ axis)
    if length == 0.0:
        return 1.0
    at = np.sort((np.concatenate([first, second]) - start) @ axis / length)
    poorer = min(_most(at, -0.1, 0.2), _most(at, 0.8, 1.1))
    valley = _counts(at, 0.3, 0.7).min()
    return float(valley + SIGMAS * np.sqrt(valley + 1)) / max(poorer, 1)


def _most(at: Float[np.ndarray, " n"], low: float, high: float) -> int:
    return int(_counts(at, low, high).max())


def _counts(at: Float[np.ndarray, " n"], low: float, high: float) -> Int[np.ndarray, " w"]:
    """Points in windows whose centres run from ``low`` to ``high``."""
    centres = np.linspace(low, high, 9)
    return np.searchsorted(at, centres + WINDOW / 2) - np.searchsorted(at, centres - WINDOW / 2)
