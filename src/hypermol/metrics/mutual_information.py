"""Mutual information between two quantities per particle, from nearest neighbours; and what chance makes of it.

Kraskov, Stögbauer & Grassberger 2004 (Phys. Rev. E 69:066138), algorithm 1; where values coincide (classes), as Gao,
Kannan, Oh & Viswanath 2017 (NeurIPS, "Estimating mutual information for discrete-continuous mixtures", algorithm 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hypermol.shapes import Float

NEIGHBOURS = 5
PERMUTATIONS = 10
SAME = 1e-9
"""Distances below this share of the largest are 0."""


@dataclass(frozen=True)
class MutualInformation:
    """nats; ``chance`` and ``chance_spread``: mean and standard deviation of the same estimate with one of the two
    permuted; ``particles`` that it is from."""

    nats: float
    chance: float
    chance_spread: float
    particles: int

    @property
    def excess(self) -> float:
        """Above chance, in nats; never negative."""
        return max(0.0, self.nats - self.chance)

    @property
    def sigmas(self) -> float:
        """How many standard deviations of chance it lies above chance."""
        return (self.nats - self.chance) / max(self.chance_spread, 1e-6)

    @property
    def explained(self) -> float:
        """1 - e^(-2 I): the R² of two Gaussians of this mutual information (Linfoot 1957, Inf. Control 1:85)."""
        return float(1 - np.exp(-2 * self.excess))


def mutual_information(
    first: Float[np.ndarray, "n a"],
    second: Float[np.ndarray, "n b"],
    seed: int = 0,
    neighbours: int = NEIGHBOURS,
    permutations: int = PERMUTATIONS,
) -> MutualInformation:
    """Of the rows of two arrays, under Euclidean distance in each: a viewing direction as a unit vector, an angle as
    (cos, sin). Memory grows with n²: some thousand rows."""
    one, two = _distances(first), _distances(second)
    size, draw = len(one), np.random.default_rng([seed, len(one)])
    value = _estimate(one, two, neighbours)
    by_chance = []
    for _ in range(permutations):
        order = draw.permutation(size)
        by_chance.append(_estimate(one, two[np.ix_(order, order)], neighbours))
    spread = float(np.std(by_chance, ddof=1)) if permutations > 1 else 0.0
    return MutualInformation(value, float(np.mean(by_chance)) if by_chance else 0.0, spread, size)


def _distances(values: np.ndarray) -> np.ndarray:
    """[n, n], the diagonal infinite: nobody is his own neighbour."""
    from scipy.spatial.distance import cdist

    found = cdist(values, values).astype(np.float32)
    found[found < SAME * max(float(found.max()), 1e-30)] = 0
    np.fill_diagonal(found, np.inf)
    return found


def _estimate(one: np.ndarray, two: np.ndarray, neighbours: int) -> float:
    from scipy.special import digamma

    both = np.maximum(one, two)
    reach = np.partition(both, neighbours - 1, axis=1)[:, neighbours - 1 : neighbours]
    tied = reach[:, 0] == 0
    # strictly nearer in each alone; where so many coincide in both, as many as coincide
    counts = [np.where(tied, (part == 0).sum(1), (part < reach).sum(1)) for part in (one, two)]
    number = np.where(tied, (both == 0).sum(1), neighbours)
    terms = digamma(number) + digamma(len(one)) - digamma(counts[0] + 1) - digamma(counts[1] + 1)
    return float(terms.mean())
