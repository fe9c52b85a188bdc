"""How many particles are in each state."""

from __future__ import annotations

import numpy as np

STATES_OF_A_CONTINUUM = 10
"""How many evenly spaced conformations stand for a continuous coordinate in ``volumes/`` and ``state``."""


def balanced(n: int, kinds: int, rng: np.random.Generator) -> np.ndarray:
    """[n] labels 0...kinds-1 in numbers that differ by at most one, in random order."""
    return rng.permutation(np.arange(n, dtype=np.int64) % kinds)


def in_shares(n: int, populations: tuple[float, ...], kinds: int, rng: np.random.Generator) -> np.ndarray:
    """[n] labels 0...kinds-1 in random order, in numbers as close to their shares as whole numbers come (the largest
    remainders are rounded up); equal shares where none are given."""
    if not populations:
        return balanced(n, kinds, rng)
    wanted = n * shares_of(populations, kinds)
    counts = np.floor(wanted).astype(np.int64)
    counts[np.argsort(counts - wanted, kind="stable")[: n - counts.sum()]] += 1
    return rng.permutation(np.repeat(np.arange(kinds, dtype=np.int64), counts))


def shares_of(populations: tuple[float, ...], kinds: int) -> np.ndarray:
    """[kinds] shares that add up to 1."""
    given = np.array(populations, dtype=np.float64) if populations else np.ones(kinds)
    return given / given.sum()
