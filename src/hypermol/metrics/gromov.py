"""Gromov-Wasserstein: how different are two landscapes, from their inner distances alone, without a common frame?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hypermol.errors import DataError
from hypermol.metrics.transport import transport, weights
from hypermol.shapes import Float

ITERATIONS = 200
TOLERANCE = 1e-9


@dataclass(frozen=True)
class GromovWasserstein:
    """distance: √(Σ (D_ik - D'_jl)² π_ij π_kl), in the unit of the distances; 0 for equal shapes of landscape.

    relative: its square over that of independent pairing (π = p p'): 0 best, 1 where no pairing does better; NaN where
    both landscapes are single points. plan [n, m]: π, which states pair up.
    """

    distance: float
    relative: float
    plan: Float[np.ndarray, "n m"]


def gromov_wasserstein(
    first: Float[np.ndarray, "n n"],
    second: Float[np.ndarray, "m m"],
    first_weight: Float[np.ndarray, " n"] | None = None,
    second_weight: Float[np.ndarray, " m"] | None = None,
    starts: int = 4,
    seed: int = 0,
) -> GromovWasserstein:
    """Compare two matrices of distances between conformations (Mémoli 2011; Peyré, Cuturi & Solomon 2016).

    The problem is not convex. Conditional gradients with exact steps (Vayer et al. 2019), and for uniform weights the
    exchange of partners, run from independent pairing, from pairing by mean distance to the others, and from ``starts``
    random orders. The best is kept, an upper bound: "the same" is certain, "different" is as far as was found. Raises
    DataError for impossible weights. Uniform weights and n = m are fast (200 states: 1 s), others ten times slower.
    """
    p, q = weights(first_weight, len(first)), weights(second_weight, len(second))
    a, b = first.astype(np.float64), second.astype(np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise DataError("Gromov-Wasserstein: distances hold NaN or infinite values")
    constant = (a**2 @ p)[:, None] + b**2 @ q
    uniform = first_weight is None and second_weight is None and len(p) == len(q)
    independent = np.outer(p, q)
    best, value = independent, np.inf
    for start in [independent, *_starts(a, b, p, q, starts, seed)]:
        found = [_descend(a, b, start, None if uniform else (p, q))]
        if uniform:
            found.append(_descend(a, b, _exchanged(a, b, found[0]), None))
        for plan in found:
            reached = _loss(a, b, constant, plan)
            if reached < value:
                best, value = plan, reached
    nothing = _loss(a, b, constant, independent)
    scale = float(np.abs(constant).max())
    value = max(value, 0.0) if value > 1e-12 * scale else 0.0
    return GromovWasserstein(value**0.5, value / nothing if nothing > 1e-12 * scale else float("nan"), best)


def _loss(a: np.ndarray, b: np.ndarray, constant: np.ndarray, plan: np.ndarray) -> float:
    """Σ (a_ik - b_jl)² π_ij π_kl, multiplied out: it costs matrix products only (Peyré et al. 2016, prop. 1)."""
    return float(((constant - 2 * a @ plan @ b) * plan).sum())


def _descend(
    a: np.ndarray, b: np.ndarray, plan: np.ndarray, margins: tuple[np.ndarray, np.ndarray] | None
) -> np.ndarray:
    """Conditional gradient: the best vertex of the linearised problem, then the best point on the way to it.

    Over plans of given margins only -2 Σ (a π b) π varies.
    """
    for _ in range(ITERATIONS):
        gradient = -4 * a @ plan @ b
        step = (transport(gradient) if margins is None else transport(gradient, *margins)).plan - plan
        slope, bend = float((gradient * step).sum()), -2 * float((a @ step @ b * step).sum())
        length = min(1.0, max(0.0, -slope / (2 * bend))) if bend > 0 else float(slope + bend < 0)
        if -(slope * length + bend * length**2) <= TOLERANCE * float(np.abs(gradient).max()):
            break
        plan = plan + length * step
    return plan


def _exchanged(a: np.ndarray, b: np.ndarray, plan: np.ndarray) -> np.ndarray:
    """The one-to-one pairing nearest to ``plan``, improved by exchanging partners of two states while that helps."""
    order = transport(-plan).plan.argmax(1)
    while True:
        placed = b[np.ix_(order, order)]
        product = a @ placed
        own = product.diagonal()
        gain = product + product.T - own[:, None] - own + 2 * a * placed
        i, j = divmod(int(gain.argmax()), len(a))
        if gain[i, j] <= TOLERANCE * float(np.abs(product).max()):
            break
        order[[i, j]] = order[[j, i]]
    pairs = np.zeros(plan.shape)
    pairs[np.arange(len(order)), order] = 1 / len(order)
    return pairs


def _starts(a: np.ndarray, b: np.ndarray, p: np.ndarray, q: np.ndarray, count: int, seed: int) -> list[np.ndarray]:
    """Pairings in order of the mean distance to all others, and in random orders."""
    central = _monotone(np.argsort(a @ p, kind="stable"), np.argsort(b @ q, kind="stable"), p, q)
    random = np.random.default_rng(seed)
    return [central, *(_monotone(random.permutation(len(p)), random.permutation(len(q)), p, q) for _ in range(count))]


def _monotone(rows: np.ndarray, columns: np.ndarray, p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The plan that fills rows and columns in the given orders (the north-west corner rule)."""
    upper, right = np.cumsum(p[rows]), np.cumsum(q[columns])
    lower, left = upper - p[rows], right - q[columns]
    overlap = np.minimum(upper[:, None], right) - np.maximum(lower[:, None], left)
    plan = np.zeros((len(p), len(q)))
    plan[np.ix_(rows, columns)] = overlap.clip(min=0)
    return plan
