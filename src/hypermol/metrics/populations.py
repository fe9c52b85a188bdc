"""Populations recovered against true ones, with wrong maps and wrong weights told apart.

After the heterogeneity challenge of the Flatiron Institute (Astore et al. 2025): the distance of the weighted maps from
the weighted truth, beside the least that the same maps reach with the best weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hypermol.errors import DataError
from hypermol.metrics.transport import transport, weights
from hypermol.shapes import Float


@dataclass(frozen=True)
class PopulationScores:
    """distance: 1-Wasserstein distance of found maps and populations from the true ones, in the maps' unit.

    best_distance: the same maps with the best populations: what wrong maps cost; 0 where each true map was found.
    excess: distance - best_distance ≥ 0: what wrong weights cost; 0 for the best populations.
    best: those populations [k], sum 1. misplaced: share of the particles that must change map to reach them, 0 … 1.
    """

    distance: float
    best_distance: float
    excess: float
    best: Float[np.ndarray, " k"]
    misplaced: float


def population_scores(
    cost: Float[np.ndarray, "k t"],
    found: Float[np.ndarray, " k"],
    true: Float[np.ndarray, " t"] | None = None,
) -> PopulationScores:
    """Populations ``found`` of k maps against those of t true maps (uniform if not given); both are made to sum to 1.

    cost: distance from each found map to each true map, such as ``cross_distances``. One consensus map for all scores
    Σ true × cost as best_distance, with nothing in excess. Raises DataError for impossible populations.
    """
    p, q = weights(found, len(cost)), weights(true, cost.shape[1])
    best = best_populations(cost, q)
    distance, least = transport(cost, p, q).cost, float(q @ cost.min(0))
    excess = max(distance - least, 0.0)
    return PopulationScores(distance, least, excess, best, population_error(p, best))


def best_populations(
    cost: Float[np.ndarray, "k t"], true: Float[np.ndarray, " t"] | None = None
) -> Float[np.ndarray, " k"]:
    """The populations of k maps closest to the truth: each true map goes to the found map nearest to it.

    This is the least 1-Wasserstein distance over all populations, for nothing then binds the plan but the truth's
    weights. Equally near maps share.
    """
    nearest = cost == cost.min(0)
    return (nearest / nearest.sum(0)) @ weights(true, cost.shape[1])


def population_error(found: Float[np.ndarray, " k"], true: Float[np.ndarray, " k"]) -> float:
    """½ Σ |p - q|, the share of particles in the wrong one of k matched states: 0 best, 1 worst (total variation)."""
    return float(np.abs(weights(found, len(true)) - weights(true, len(true))).sum() / 2)


def fitted_populations(within: Float[np.ndarray, "k k"], to_target: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """The populations with which k maps best add up to a given map, such as the consensus: no truth is needed.

    Non-negative least squares with sum 1, from distances alone: within [k, k] between the maps, to_target [k] from each
    to the target. Not unique where maps depend linearly on each other. Raises DataError for distances of other shapes.
    """
    from scipy.optimize import nnls

    if within.shape != (len(to_target), len(to_target)) or len(to_target) == 0:
        raise DataError(f"populations: expected k × k and k distances, found {within.shape} and {to_target.shape}")
    square = to_target.astype(np.float64) ** 2
    # inner products of the maps less the target: the point of their hull nearest to the origin is sought
    products = (square[:, None] + square - within.astype(np.float64) ** 2) / 2
    values, vectors = np.linalg.eigh(products)
    root = np.sqrt(values.clip(min=0))[:, None] * vectors.T
    scale = float(np.sqrt(square.mean())) or 1.0
    # a row of ones asks for a sum of 1; the solution is that point times a number (Lawson & Hanson 1974, ch. 23)
    found, _ = nnls(np.vstack([root / scale, np.ones(len(square))]), np.append(np.zeros(len(square)), 1.0))
    return found / found.sum()
