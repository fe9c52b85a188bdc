"""Optimal transport between two discrete distributions: on a line, for any costs, and between spaces without a common
frame (Gromov-Wasserstein). Peyré & Cuturi 2019, Computational Optimal Transport."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hypermol.errors import ConvergenceError, DataError
from hypermol.shapes import Float


@dataclass(frozen=True)
class Transport:
    """cost: Σ plan × cost, the least possible; plan [n, m]: how much of each first goes to each second, sums to 1."""

    cost: float
    plan: Float[np.ndarray, "n m"]


def transport(
    cost: Float[np.ndarray, "n m"],
    first: Float[np.ndarray, " n"] | None = None,
    second: Float[np.ndarray, " m"] | None = None,
) -> Transport:
    """The cheapest way to move the weights ``first`` onto ``second`` (both made to sum to 1; uniform where not given).

    Exact: an assignment where the weights are uniform and n = m, else a linear program (Kantorovich 1942). With
    distances for costs the cost is the 1-Wasserstein distance, with squared distances the square of the 2-Wasserstein.
    Raises DataError for weights that are negative or all zero and for costs that are not finite.
    """
    from scipy.optimize import linear_sum_assignment

    if cost.size == 0 or not np.isfinite(cost).all():
        raise DataError(f"transport: expected finite costs between at least one pair, found {cost.shape} or NaN")
    uniform = first is None and second is None and cost.shape[0] == cost.shape[1]
    if uniform:
        rows, columns = linear_sum_assignment(cost)
        plan = np.zeros(cost.shape)
        plan[rows, columns] = 1 / len(cost)
    else:
        plan = _linear_program(cost, weights(first, cost.shape[0]), weights(second, cost.shape[1]))
    return Transport(float((plan * cost).sum()), plan)


def wasserstein_1d(
    first: Float[np.ndarray, " n"],
    second: Float[np.ndarray, " m"],
    first_weight: Float[np.ndarray, " n"] | None = None,
    second_weight: Float[np.ndarray, " m"] | None = None,
    order: float = 1.0,
) -> float:
    """p-Wasserstein distance of two samples on a line, (∫ |Q₁(q) - Q₂(q)|ᵖ dq)^(1/p) with Q their quantile functions.

    0 for the same distribution; in the unit of the values. Raises DataError for impossible weights.
    """
    sides = [(first, weights(first_weight, len(first))), (second, weights(second_weight, len(second)))]
    sorted_, reached = [], []
    for values, weight in sides:
        rank = np.argsort(values, kind="stable")
        sorted_.append(values[rank].astype(np.float64))
        reached.append(np.cumsum(weight[rank]))
    edges = np.unique(np.concatenate([[0.0], *reached]).clip(0, 1))
    middle = (edges[1:] + edges[:-1]) / 2
    quantile = [v[np.searchsorted(r, middle).clip(max=len(v) - 1)] for v, r in zip(sorted_, reached)]
    return float((np.abs(quantile[0] - quantile[1]) ** order @ np.diff(edges)) ** (1 / order))


def wasserstein(
    first: Float[np.ndarray, "n d"],
    second: Float[np.ndarray, "m d"],
    first_weight: Float[np.ndarray, " n"] | None = None,
    second_weight: Float[np.ndarray, " m"] | None = None,
    order: float = 1.0,
) -> float:
    """p-Wasserstein distance of two sets of points with Euclidean distances, exactly; 0 best, in the points' unit.

    z of two runs share no coordinates: compare their maps instead (``landscape_agreement``).
    """
    from scipy.spatial.distance import cdist

    return transport(cdist(first, second) ** order, first_weight, second_weight).cost ** (1 / order)


def weights(given: Float[np.ndarray, " n"] | None, count: int) -> Float[np.ndarray, " n"]:
    """Weights that sum to 1; uniform where none are given. Raises DataError where that is impossible."""
    if given is None:
        return np.full(count, 1 / max(count, 1))
    if len(given) != count or not np.isfinite(given).all() or (given < 0).any() or given.sum() <= 0:
        raise DataError(f"weights: expected {count} numbers ≥ 0 with a positive sum, found {given}")
    return given.astype(np.float64) / given.sum()


def _linear_program(cost: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    from scipy import sparse
    from scipy.optimize import linprog

    n, m = cost.shape
    leaves = sparse.kron(sparse.eye_array(n), np.ones((1, m)))
    arrives = sparse.kron(np.ones((1, n)), sparse.eye_array(m))
    # one of the n + m conditions follows from the others; with it rounding could make the program infeasible
    conditions = sparse.vstack([leaves, arrives]).tocsr()[:-1]
    scale = float(np.abs(cost).max()) or 1.0
    margins = np.concatenate([first, second])[:-1]
    found = linprog(cost.ravel() / scale, A_eq=conditions, b_eq=margins, bounds=(0, None), method="highs")
    if found.x is None:
        raise ConvergenceError(f"transport: the linear program of {n} by {m} weights was not solved: {found.message}")
    return found.x.reshape(n, m).clip(min=0)
