"""A few poses of each particle in each of K classes, and what its images say of class and pose together."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from hypermol.conformations import ClassPosterior, class_posterior
from hypermol.poses import Candidates, ScoredImages
from hypermol.shapes import Bool, Float

Found = tuple[Tensor, Tensor, Tensor]
"""rotation [b, H, 3, 3], shift in pixels [b, H, 2 or 3], log-likelihood [b, H] of b particles in one class."""
Find = Callable[[ScoredImages, Tensor, Tensor, int], Found]
"""From images of some particles, their rows in the batch, the grid and the number of a class."""


@dataclasses.dataclass(frozen=True, eq=False)
class PoseHypotheses:
    """H poses of B particles in each of K classes; ``distinct``: whether it is none that a better one of the class
    stands for. power and overlap of each class's map there, float64 (``ScoredImages.power_and_overlap``)."""

    rotation: Float[Tensor, "b k h 3 3"]
    shift_px: Float[Tensor, "b k h d"]
    power: Float[Tensor, "b k h"]
    overlap: Float[Tensor, "b k h"]
    distinct: Bool[Tensor, "b k h"]

    @staticmethod
    def found(
        images: ScoredImages, grids: Sequence[Sequence[Tensor]], which: Tensor, find: Find, apart_deg: float
    ) -> PoseHypotheses:
        """``grids``: the classes of each model; which [B]: the model that each particle is held to."""
        order, models = [], []
        for number, classes in enumerate(grids):
            rows = torch.nonzero(which == number)[:, 0]
            if len(rows):
                own = images.take(rows)
                order.append(rows)
                models.append([_in_class(own, rows, grid, k, find, apart_deg) for k, grid in enumerate(classes)])
        back = torch.cat(order).argsort()
        values = [[torch.stack([one[part] for one in model], 1) for part in range(5)] for model in models]
        return PoseHypotheses(*(torch.cat(parts)[back] for parts in zip(*values, strict=True)))

    def posterior(
        self, weights: Float[Tensor, "b k"], own_part: Float[Tensor, "b k h"], contrast_variance: float
    ) -> ClassPosterior:
        """Of class and pose together, [B, K H]; poses of a class are equally likely before. ``own_part`` of the overlap
        is the particle's own noise in the maps."""
        prior = (weights.double()[..., None] * self.distinct).flatten(1)
        return class_posterior(self.power.flatten(1), (self.overlap - own_part).flatten(1), prior, contrast_variance)


def _in_class(
    images: ScoredImages, rows: Tensor, grid: Tensor, label: int, find: Find, apart_deg: float
) -> tuple[Tensor, ...]:
    rotation, shift, value = find(images, rows, grid, label)
    near = alike(rotation, rotation, apart_deg)
    better = (value[:, None] > value[..., None]) | (
        (value[:, None] == value[..., None]) & torch.ones(near.shape[1:], device=near.device).bool().tril(-1)
    )
    rotation, shift = rotation.float(), shift.float()
    power, overlap = images.power_and_overlap(grid, rotation, shift)
    return rotation, shift, power, overlap, ~(near & better).any(2)


def alike(
    first: Float[Tensor, "*b h 3 3"], second: Float[Tensor, "*b g 3 3"], within_deg: float
) -> Bool[Tensor, "*b h g"]:
    """Which rotations differ by less than an angle."""
    trace = torch.einsum("...hij,...gij->...hg", first.float(), second.float())
    return trace > 1 + 2 * math.cos(math.radians(within_deg))


def apart(found: Candidates, count: int, least_deg: float) -> tuple[Tensor, Tensor]:
    """The best of the candidates, then the best of those that differ from it, and so on: rotation [B, H, 3, 3], shift
    [B, H, d]. The best again where there are no others."""
    row, left = torch.arange(len(found.rotation)), found.log_likelihood.clone()
    taken = []
    for _ in range(count):
        best = left.argmax(1)
        taken.append(torch.where(left[row, best] > -math.inf, best, found.log_likelihood.argmax(1)))
        near = alike(found.rotation[row, taken[-1]][:, None], found.rotation, least_deg)[:, 0]
        left = left.masked_fill(near, -math.inf)
    chosen = torch.stack(taken, 1)
    return found.rotation[row[:, None], chosen], found.shift_px[row[:, None], chosen]
