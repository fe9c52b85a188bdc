"""Do two halves' models lay the same particles out alike: order along an axis, states, populations, distributions."""

from __future__ import annotations

from typing import Any

import numpy as np

from hypermol.metrics import spearman
from hypermol.shapes import Float, Int
from hypermol.validation.state_maps import STATES, cuts_of, states_of

REPEATS = 200


def order_agreement(
    first: Float[np.ndarray, " N"], second: Float[np.ndarray, " N"], seen: Int[np.ndarray, " N"]
) -> dict[str, Any]:
    """Agreement of two coordinates of the same particles; ``seen`` [N]: which model (0, 1) was trained on it.

    spearman: rank correlation, -1 to 1 (0: none, 1: the same order); states_agree: share of particles put into the same
    of three states cut at the quantiles of each model's own particles (chance: ``states_by_chance``); populations: the
    share of all particles in each state by either model; population_difference: the largest difference (0: equal);
    distance: 1-Wasserstein distance between the distributions of the coordinate over the two halves, each by its own
    model, in standard deviations, beside that of random halves of one model's particles (mean and 95th percentile).
    """
    coordinates = (first, second)
    cuts = [cuts_of(c[seen == model]) for model, c in enumerate(coordinates)]
    states = [states_of(c, cut) for c, cut in zip(coordinates, cuts)]
    shares = [np.bincount(s, minlength=STATES) / len(s) for s in states]
    own = [_standard(c[seen == model]) for model, c in enumerate(coordinates)]
    return {
        "spearman": spearman(first, second),
        "states_agree": float((states[0] == states[1]).mean()),
        "states_by_chance": float((shares[0] * shares[1]).sum()),
        "populations": [share.tolist() for share in shares],
        "population_difference": float(np.abs(shares[0] - shares[1]).max()),
        **_distance(own[0], own[1]),
    }


def _standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / max(values.std(), 1e-30)


def _distance(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    from scipy.stats import wasserstein_distance

    generator = np.random.default_rng(0)
    chance = []
    for _ in range(REPEATS):
        drawn = [_standard(generator.choice(first, len(other))) for other in (first, second)]
        chance.append(wasserstein_distance(*drawn))
    return {
        "distance": float(wasserstein_distance(first, second)),
        "distance_by_chance": float(np.mean(chance)),
        "distance_by_chance_95": float(np.quantile(chance, 0.95)),
    }
