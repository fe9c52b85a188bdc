"""The last digit of a pose: a parabola through the likelihoods of its neighbours, step by step."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from hypermol.imaging import Lattice, rotvec_to_matrix
from hypermol.shapes import Complex, Float


class Posed(Protocol):
    """Images whose poses have a likelihood under what a grid holds: ``ScoredImages`` (one map), or a family of maps."""

    @property
    def lattice(self) -> Lattice:
        """Of the images."""

    def log_likelihood(
        self, grid: Tensor, rotation: Tensor, shift_px: Tensor, reach_px: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """As ``ScoredImages.log_likelihood``."""


def refine_poses(
    images: Posed,
    grid: Complex[Tensor, "z y x c"],
    rotation: Float[Tensor, "b 3 3"],
    shift_px: Float[Tensor, "b d"],
    step_deg: float,
    rounds: int = 3,
) -> tuple[Float[Tensor, "b 3 3"], Float[Tensor, "b d"], Float[Tensor, " b"]]:
    """Poses climb to the maximum near them: rotation, shift (pixels), log-likelihood up to a constant.

    Each round fits a parabola to the ten poses around the best so far, ``step_deg`` apart and half as far each time,
    and goes to its top, at most two steps away; shifts take a step of Fisher's scoring at each pose. A round that
    finds nothing better leaves the pose as it was: the likelihood never falls.
    """
    rows, step = torch.arange(len(rotation), device=rotation.device), math.radians(step_deg)
    value = torch.full((len(rotation),), -math.inf, dtype=torch.float64, device=rotation.device)
    best = rotation, shift_px
    for _ in range(rounds):
        reach = max(0.25, step * images.lattice.box / 4)
        turns = _star().to(rotation) * step
        tried = rotvec_to_matrix(turns) @ best[0][:, None]
        around, moved = images.log_likelihood(grid, tried, _each(best[1], len(turns)), reach)
        top = _top(around, step).to(rotation)
        last = (rotvec_to_matrix(top) @ best[0])[:, None]
        at_top, at_shift = images.log_likelihood(grid, last, moved[:, :1], reach)
        around, tried, moved = (
            torch.cat(pair, 1) for pair in ((around, at_top), (tried, last), (moved, at_shift.to(moved)))
        )
        found = around.argmax(1)
        better = around[rows, found] > value
        value = torch.where(better, around[rows, found], value)
        best = (
            torch.where(better[:, None, None], tried[rows, found], best[0]),
            torch.where(better[:, None], moved[rows, found], best[1]),
        )
        step /= 2
    return *best, value


def _star() -> Float[Tensor, "10 3"]:
    """Where a parabola in three dimensions is measured: here, both ways along each axis, and between two axes each."""
    axes = torch.eye(3)
    pairs = torch.stack([axes[0] + axes[1], axes[0] + axes[2], axes[1] + axes[2]])
    return torch.cat([torch.zeros(1, 3), axes, -axes, pairs])


def _top(values: Float[Tensor, "b 10"], step: float) -> Float[Tensor, "b 3"]:
    """The rotation vector of the parabola's top, at most two steps away; uphill where it has none."""
    here, ahead, behind, between = values[:, :1], values[:, 1:4], values[:, 4:7], values[:, 7:]
    slope = (ahead - behind) / 2
    bend = torch.diag_embed(2 * here - ahead - behind)
    for place, (a, b) in enumerate(((0, 1), (0, 2), (1, 2))):
        bend[:, a, b] = bend[:, b, a] = ahead[:, a] + ahead[:, b] - here[:, 0] - between[:, place]
    curvature, axes = torch.linalg.eigh(bend)
    flattest = 0.02 * curvature.abs().amax(1, keepdim=True).clamp(min=1e-12)
    along = (axes.mT @ slope[..., None])[..., 0] / curvature.abs().clamp(min=flattest)
    top = (axes @ along[..., None])[..., 0]
    return step * top * (2 / top.norm(dim=1, keepdim=True).clamp(min=1e-12)).clamp(max=1)


def _each(shift: Tensor, count: int) -> Tensor:
    return shift[:, None].expand(-1, count, -1)
