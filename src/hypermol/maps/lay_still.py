"""Frames for maps of one molecule in many shapes, chosen so that most of it stands still."""

from __future__ import annotations

import torch
from torch import Tensor

from hypermol.imaging import rotvec_to_matrix
from hypermol.maps.align_transform import transform_map
from hypermol.maps.rigid_fields import rigid_fields
from hypermol.shapes import Float

ROUNDS, REWEIGHTED = 40, 10
STILL = 1e-3
"""Steps as small (radians, pixels) end the rounds."""
SOFT = 0.5
"""Differences of less than this share of their root mean square count by their square, larger ones by themselves."""
DAMPING = 1e-6


def laid_still(maps: Float[Tensor, "n d d d"], shifts: bool = False) -> Float[Tensor, "n d d d"]:
    """The maps, each turned (and shifted) as a whole to where it differs least from the mean of all.

    The sum of absolute differences counts, so that most of a molecule lies on itself and what moves does not draw the
    rest along; in small steps from where the maps lie, the mean being renewed after each. What is relative between
    parts of a map is untouched: only frames change, which projections in even views do not determine. The frame of all
    together stays about where it was.
    """
    placed = [_Placed(map_) for map_ in maps]
    for _ in range(ROUNDS):
        mean = torch.stack([one.laid for one in placed]).mean(0)
        if max([one.step(mean, shifts) for one in placed]) < STILL:
            break
    return torch.stack([one.laid for one in placed])


def laid_onto(
    maps: Float[Tensor, "n d d d"], fixed: Float[Tensor, "d d d"], shifts: bool = False
) -> Float[Tensor, "n d d d"]:
    """The maps, each laid like ``laid_still`` but on a map that stays: none depends on the others."""
    placed = [_Placed(map_) for map_ in maps]
    for one in placed:
        for _ in range(ROUNDS):
            if one.step(fixed, shifts) < STILL:
                break
    return torch.stack([one.laid for one in placed])


class _Placed:
    """A map and where it has been laid, always from the map as it came."""

    def __init__(self, map_: Tensor) -> None:
        self.map = self.laid = map_
        self.rotation = torch.eye(3, dtype=torch.float64)
        self.place = torch.zeros(3, dtype=torch.float64)

    def step(self, fixed: Tensor, shifts: bool) -> float:
        """Lays the map nearer to ``fixed``; how far it moved, radians or pixels, whichever is more."""
        turn, move = _small_motion(self.laid, fixed, shifts)
        turned = rotvec_to_matrix(-turn)
        self.rotation, self.place = turned @ self.rotation, turned @ self.place - move
        self.laid = transform_map(self.map, self.rotation, self.place)
        return max(float(turn.norm()), float(move.norm()))


def _small_motion(map_: Tensor, mean: Tensor, shifts: bool) -> tuple[Tensor, Tensor]:
    """Rotation vector (radians) and shift (pixels) by which the map seems to be moved from the mean, to first order."""
    fields = rigid_fields(map_)[: 6 if shifts else 3].flatten(1).double()
    apart = (map_ - mean).flatten().double()
    weight, least = torch.ones_like(apart), SOFT**2 * apart.square().mean().clamp(min=1e-30)
    motion = apart.new_zeros(len(fields))
    for _ in range(REWEIGHTED):
        gram = (fields * weight) @ fields.T
        gram = gram + DAMPING * gram.diagonal().mean().clamp(min=1e-30) * torch.eye(len(gram)).to(gram)
        motion = torch.linalg.solve(gram, (fields * weight) @ apart)
        weight = 1 / ((apart - motion @ fields).square() + least).sqrt()
    return motion[:3].cpu(), motion[3:].cpu() if shifts else torch.zeros(3, dtype=torch.float64)
