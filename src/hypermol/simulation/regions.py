"""Soft masks drawn around known atoms."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hypermol.simulation.motions import Arrangements, Motion
from hypermol.simulation.transitions import Transition

STEPS_OF_A_RANGE = 41
"""Angles at which the moving part is drawn, over its whole range."""


def atoms_over_range(motion: Motion, moving_only: bool) -> np.ndarray:
    """Positions [*, 3] Å that atoms (or only those that move) take over the whole range of the motion."""
    if isinstance(motion, Arrangements):
        return np.concatenate([model.coordinates for model in motion.models])
    if isinstance(motion, Transition):
        return motion.frames[:, motion.moving if moving_only else slice(None)].reshape(-1, 3)
    chosen = motion.moving if moving_only else np.ones(motion.model.count, dtype=bool)
    conformations = [np.zeros((1, motion.dim))]
    for index, turn in enumerate(motion.turns):
        path = np.zeros((STEPS_OF_A_RANGE, motion.dim))
        path[:, index] = turn.steps(STEPS_OF_A_RANGE)
        conformations.append(path)
    if moving_only:
        conformations = conformations[1:]
    return np.concatenate([motion.atoms(c)[0][:, chosen].reshape(-1, 3) for c in conformations])


def mask_around(positions: np.ndarray, box: int, pixel_size: float, extend: float, edge: float) -> Tensor:
    """Map [D, D, D] that is 1 within ``extend`` Å of a position [*, 3], with a raised-cosine edge of ``edge`` Å."""
    from scipy.ndimage import distance_transform_edt

    voxel = np.rint(positions[:, ::-1] / pixel_size).astype(np.int64) + box // 2
    voxel = voxel[((voxel >= 0) & (voxel < box)).all(axis=1)]
    far = np.ones((box, box, box), dtype=bool)
    far[tuple(voxel.T)] = False
    beyond = (distance_transform_edt(far) * pixel_size - extend) / edge
    return torch.from_numpy(0.5 + 0.5 * np.cos(np.pi * np.clip(beyond, 0.0, 1.0))).float()
