"""Pose errors after one alignment of all particles, and again after one alignment per state.

With unknown poses the frame may differ from state to state (a rotation, origin and hand that depend on z are free),
so that both are stated: their difference is what the frames of the states disagree by.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hypermol.metrics.poses import PoseErrors, align_poses, pose_errors
from hypermol.shapes import Float, Int

LEAST = 10
"""A state of fewer particles keeps the common frame: an alignment of its own would fit its errors."""


@dataclass(frozen=True)
class PoseScores:
    """overall: errors after one alignment; per_state: after one for each state, None without states.

    mirrored: whether the other hand fitted better; states_mirrored: the same for each state of at least 10 particles.
    """

    overall: PoseErrors
    mirrored: bool
    per_state: PoseErrors | None
    states_mirrored: dict[int, bool]


def pose_scores(
    rotation: Float[np.ndarray, "n 3 3"],
    true_rotation: Float[np.ndarray, "n 3 3"],
    shift: Float[np.ndarray, "n 2"] | None = None,
    true_shift: Float[np.ndarray, "n 2"] | None = None,
    state: Int[np.ndarray, " n"] | None = None,
    pixel_size: float | None = None,
    either_hand: bool = True,
) -> PoseScores:
    """Align (both hands tried), then measure; once for all particles and once per state. shifts: Å, pixel_size: Å.

    Raises DataError where there are no poses.
    """
    both = shift is not None and true_shift is not None
    turned, moved, mirrored = align_poses(rotation, true_rotation, shift, true_shift, either_hand)
    overall = pose_errors(turned, true_rotation, moved, true_shift if both else None, pixel_size)
    if state is None:
        return PoseScores(overall, mirrored, None, {})
    own_turned, own_moved = turned.copy(), None if moved is None else moved.astype(np.float64)
    hands: dict[int, bool] = {}
    for label in np.unique(state):
        rows = np.flatnonzero(state == label)
        if len(rows) < LEAST:
            continue
        own, known = (shift[rows], true_shift[rows]) if shift is not None and true_shift is not None else (None, None)
        placed, origin, hand = align_poses(rotation[rows], true_rotation[rows], own, known, either_hand)
        own_turned[rows], hands[int(label)] = placed, hand
        if own_moved is not None and origin is not None:
            own_moved[rows] = origin
    per_state = pose_errors(own_turned, true_rotation, own_moved, true_shift if both else None, pixel_size)
    return PoseScores(overall, mirrored, per_state, hands)
