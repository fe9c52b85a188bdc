"""The gauge of poses and components: a rigid motion that comes with z may be in either, and belongs in the poses."""

from __future__ import annotations

import torch
from torch import Tensor

from hypermol.maps import rigid_fields
from hypermol.shapes import Float

ROUNDS = 20
SOFT = 0.1
"""Differences of less than this share of their root mean square count by their square, larger ones by themselves."""
DAMPING = 1e-6


def without_rigid_motion(maps: Float[Tensor, "c d d d"]) -> Float[Tensor, "c d d d"]:
    """Components less what a small turn or shift of the mean map explains of them: the poses take that up.

    Each component is fitted by the mean's three turns and three shifts with the sum of absolute differences (by
    reweighted squares), so that most of a molecule stays where it is, and not the average of a moving part and the
    rest. maps: the mean, then the components.
    """
    if len(maps) == 1:
        return maps
    fields = rigid_fields(maps[0]).flatten(1).double()
    left = torch.stack([_remainder(component.flatten().double(), fields) for component in maps[1:]])
    return torch.cat([maps[:1], left.reshape(maps[1:].shape).to(maps)])


def _remainder(component: Tensor, fields: Tensor) -> Tensor:
    weight, left = torch.ones_like(component), component
    for _ in range(ROUNDS):
        gram = (fields * weight) @ fields.T
        gram = gram + DAMPING * gram.diagonal().mean().clamp(min=1e-30) * torch.eye(len(gram)).to(gram)
        left = component - torch.linalg.solve(gram, (fields * weight) @ component) @ fields
        weight = 1 / (left.square() + (SOFT * component).square().mean()).sqrt().clamp(min=1e-30)
    return left
