"""Particles that show no intact molecule, as picking leaves them in real sets: nothing at all, or fragments."""

from __future__ import annotations

import numpy as np
import torch

from hypermol.imaging.rotations import quaternion_to_matrix

INTACT, EMPTY, BROKEN = 0, 1, 2
"""Kinds of particles in ``truth.junk``."""


def draw_junk(n: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """[n] int8: INTACT, or for ``share`` of the particles (rounded) EMPTY and BROKEN in turn; in random order."""
    count = round(n * share)
    kinds = np.zeros(n, dtype=np.int8)
    kinds[:count] = np.where(np.arange(count) % 2 == 0, EMPTY, BROKEN)
    return rng.permutation(kinds)


def fragments(positions: np.ndarray, chain: np.ndarray, seed: int, particle: int) -> np.ndarray:
    """Positions [n, 3] Å with each chain turned about its own centre, which is put anywhere within the molecule's
    radius; a molecule of one chain is cut into three by rows. A pure function of (seed, particle)."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(73, particle)))
    pieces = chain if len(np.unique(chain)) > 1 else np.arange(len(chain)) * 3 // len(chain)
    radius = float(np.linalg.norm(positions, axis=1).max())
    broken = np.empty_like(positions)
    for piece in np.unique(pieces):
        members = pieces == piece
        turn = quaternion_to_matrix(torch.from_numpy(rng.normal(size=4))).numpy()
        part = (positions[members] - positions[members].mean(axis=0)) @ turn.T
        reach = float(np.linalg.norm(part, axis=1).max())
        direction = rng.normal(size=3)
        away = max(0.0, radius - reach) * rng.uniform() ** (1 / 3)
        broken[members] = part + away * direction / np.linalg.norm(direction)
    return broken
