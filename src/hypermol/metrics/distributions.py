"""Do two half-sets give the same landscape? Compared by maps, so that the coordinates of z do not matter.

The proposal of Donnat et al. 2022 (§4.1.2): half maps for distributions. Maps are drawn from each landscape with the
weights of its particles; all that follows needs only their distances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hypermol.errors import DataError
from hypermol.metrics.gromov import GromovWasserstein, gromov_wasserstein
from hypermol.metrics.physical import map_distances
from hypermol.metrics.transport import transport
from hypermol.shapes import Float

SPLITS = 10
"""Random halvings behind the floor of the Wasserstein distance."""


@dataclass(frozen=True)
class QuantileAgreement:
    """Mean maps of the particles at matched quantiles of one motion.

    distance [q]: ‖A_q - B_q‖ in the maps' unit. relative: mean ‖A_q - B_q‖² over that for all pairs of quantiles: 0 the
    same motion, 1 nothing in common, or no motion in one of them. flipped: whether B runs the other way.
    """

    distance: Float[np.ndarray, " q"]
    relative: float
    flipped: bool


@dataclass(frozen=True)
class LandscapeDistance:
    """Distance of two landscapes by their maps; each relative figure is 0 for the same and 1 for nothing in common.

    wasserstein: 2-Wasserstein distance with ‖V - V'‖, in the maps' unit: includes what the mean maps differ by.
    relative: its square over the mean of ‖V - V'‖² (all pairings are alike), between random halves of the two.
    floor: the same between two random halves of one landscape: what a finite number of maps gives by itself.
    quantiles: along the motion of largest variance. gromov: needs no common frame, scale of z or hand, but compares
    shapes only: two clouds of noise, in which all maps are equally far apart, are alike to it. Read it with the others.
    """

    wasserstein: float
    relative: float
    floor: float
    quantiles: QuantileAgreement
    gromov: GromovWasserstein


def landscape_distance(
    first: Float[Tensor, "n d d d"],
    second: Float[Tensor, "m d d d"],
    mask: Float[Tensor, "d d d"] | None = None,
    quantiles: int = 10,
    seed: int = 0,
) -> LandscapeDistance:
    """Compare the maps of particles drawn at random from two landscapes (50 to 200 of each; in one frame and scale).

    Raises DataError for fewer than ``quantiles`` or 4 maps on either side.
    """
    all_ = map_distances(torch.cat([first, second]), mask)
    n = len(first)
    return landscape_agreement(all_[:n, :n], all_[n:, n:], all_[:n, n:], quantiles, seed)


def landscape_agreement(
    within_first: Float[np.ndarray, "n n"],
    within_second: Float[np.ndarray, "m m"],
    between: Float[np.ndarray, "n m"],
    quantiles: int = 10,
    seed: int = 0,
) -> LandscapeDistance:
    """``landscape_distance`` from known distances: within either landscape, and from the first to the second."""
    few = min(between.shape)
    if few < max(4, quantiles):
        raise DataError(f"landscapes: expected at least {max(4, quantiles)} maps of each, found {few}")
    random = np.random.default_rng(seed)
    own = (within_first, within_second)
    axes = leading_coordinate(within_first), leading_coordinate(within_second)
    return LandscapeDistance(
        np.sqrt(transport(between**2).cost),
        float(np.mean([relative_across(between, few // 2, random) for _ in range(SPLITS)])),
        float(np.mean([relative_within(one, few // 2, random) for _ in range(SPLITS) for one in own])),
        quantile_agreement(within_first, within_second, between, *axes, quantiles),
        gromov_wasserstein(_subset(within_first, few, random), _subset(within_second, few, random)),
    )


def quantile_agreement(
    within_first: Float[np.ndarray, "n n"],
    within_second: Float[np.ndarray, "m m"],
    between: Float[np.ndarray, "n m"],
    first: Float[np.ndarray, " n"],
    second: Float[np.ndarray, " m"],
    quantiles: int = 10,
) -> QuantileAgreement:
    """Compare mean maps of equal shares of the particles along the coordinates ``first`` and ``second``.

    Any increasing function of a coordinate gives the same; the better of the two directions is taken. Distances of mean
    maps follow from those of maps: ‖Ā - B̄‖² = mean ‖A - B‖² - ½ mean ‖A - A'‖² - ½ mean ‖B - B'‖². Raises DataError
    for fewer maps than ``quantiles``.
    """
    if min(between.shape) < quantiles:
        raise DataError(f"landscapes: {quantiles} quantiles need as many maps of each, found {min(between.shape)}")
    a, b = _shares(first, quantiles), _shares(second, quantiles)
    inner_a, inner_b = np.diag(a @ within_first**2 @ a.T), np.diag(b @ within_second**2 @ b.T)
    square = (a @ between**2 @ b.T - inner_a[:, None] / 2 - inner_b / 2).clip(min=0)
    straight, turned = np.diag(square), np.diag(square[:, ::-1])
    flipped = bool(turned.sum() < straight.sum())
    matched, mean = (turned if flipped else straight), float(square.mean())
    relative = float(matched.mean() / mean) if mean > 1e-12 * float((between**2).max()) else float("nan")
    return QuantileAgreement(np.sqrt(matched), relative, flipped)


def leading_coordinate(distances: Float[np.ndarray, "n n"]) -> Float[np.ndarray, " n"]:
    """Coordinate along the direction of largest variance, from distances alone (classical scaling, Torgerson 1952).

    For distances between maps it is the first principal component of the maps. Its sign is arbitrary.
    """
    from scipy.linalg import eigh

    square = distances**2
    centred = -0.5 * (square - square.mean(0) - square.mean(1)[:, None] + square.mean())
    value, vector = eigh(centred, subset_by_index=(len(centred) - 1, len(centred) - 1))
    return vector[:, 0] * np.sqrt(max(float(value[0]), 0.0))


def _shares(coordinate: np.ndarray, quantiles: int) -> np.ndarray:
    """Weights [quantiles, n] of the mean over equal shares of the particles in order of the coordinate."""
    rows = np.zeros((quantiles, len(coordinate)))
    for row, members in zip(rows, np.array_split(np.argsort(coordinate, kind="stable"), quantiles)):
        row[members] = 1 / len(members)
    return rows


def _subset(within: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """As many of either landscape make the transport an assignment, which is fast."""
    chosen = random.permutation(len(within))[:count]
    return within[np.ix_(chosen, chosen)]


def relative_across(between: Float[np.ndarray, "n m"], count: int, random: np.random.Generator) -> float:
    """Squared 2-Wasserstein distance between ``count`` random maps of either landscape, over the mean square of all
    their distances: 0 the same, 1 where no pairing does better than another."""
    rows, columns = (random.permutation(size)[:count] for size in between.shape)
    return _relative(between[np.ix_(rows, columns)])


def relative_within(within: Float[np.ndarray, "n n"], count: int, random: np.random.Generator) -> float:
    """The same between two random parts of one landscape, of ``count`` maps each: what so few maps give by chance."""
    order = random.permutation(len(within))
    return _relative(within[np.ix_(order[:count], order[count : 2 * count])])


def _relative(distances: np.ndarray) -> float:
    mean = float((distances**2).mean())
    return transport(distances**2).cost / mean if mean > 0 else 0.0
