"""Half-sets: read from the file where it has them, else drawn from a seeded hash of what must stay together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def hashed_halves(keys: Sequence[str], seed: int = 0) -> NDArray[np.int8]:
    """Half 0 or 1 of each particle from its key (equal keys, equal half): int8 [N].

    The half of a particle depends on its own key only, so a selection keeps the halves it had. Where so few
    particles are given that one half would stay empty, keys alternate in the order of their hashes instead.
    """
    digests = {key: _digest(key, seed) for key in dict.fromkeys(keys)}
    if len({d & 1 for d in digests.values()}) < 2:
        ranked = sorted(digests, key=lambda key: digests[key])
        digests = {key: rank for rank, key in enumerate(ranked)}
    return np.array([digests[key] & 1 for key in keys], dtype=np.int8)


def stated_halves(values: NDArray | None) -> NDArray[np.int8] | None:
    """The half-sets a file states, 0 or 1; None unless both occur and nothing else."""
    if values is None or np.unique(values).tolist() != [0, 1]:
        return None
    return np.asarray(values).astype(np.int8)


def _digest(key: str, seed: int) -> int:
    raw = hashlib.blake2b(f"{seed}\0{key}".encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(raw, "little")
