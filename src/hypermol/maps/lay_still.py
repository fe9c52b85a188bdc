"""Frames for maps of one molecule in many shapes, chosen so that most of it stands still."""

from __future__ import annotations

import torch
from torch import Tensor

from hypermol.imaging import rotvec_to_matrix
from hypermol.maps.align_transform import transform_map
from hypermol.maps.rigid_fields import rigid_fields
from hypermol.shapes import Float

ROUNDS, REWEIGHTED = 40, 10
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
    rotations = [torch.eye(3, dtype=torch.float64)] * len(maps)
    places = [torch.zeros(3, dtype=torch.float64)] * len(maps)
    laid = maps
    for _ in range(ROUNDS):
        mean = laid.mean(0)
        for index, map_ in enumerate(laid):
            turn, move = _small_motion(map_, mean, shifts)
            turned = rotvec_to_matrix(-turn)
            rotations[index] = turned @ rotations[index]
            places[index] = turned @ places[index] - move
        placed = zip(maps, rotations, places, strict=True)
        laid = torch.stack([transform_map(map_, turn, move, False) for map_, turn, move in placed])
    return laid


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
    return motion[:3], motion[3:] if shifts else torch.zeros(3, dtype=torch.float64)
