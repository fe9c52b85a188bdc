"""The most likely pose near one of a few hypotheses: what a search costs when somebody says where to look."""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from hypermol.imaging import rotvec_to_matrix
from hypermol.poses.grid_search import resolved_deg, shift_step
from hypermol.poses.local_search import refine_poses
from hypermol.poses.scored import ScoredImages
from hypermol.shapes import Complex, Float


@dataclasses.dataclass(frozen=True)
class NearLevels:
    """``reach_deg``: how far from a hypothesis the pose may be; ``step_deg``: between the rotations first tried; halved
    until the band can tell no finer. first_band: shells compared at the first step; they grow by ``growth``.
    considered: hypotheses searched around, the likeliest over the first band. kept: candidates after each step, the
    last number for all later ones. rounds: of the climb at the end."""

    reach_deg: float = 30.0
    step_deg: float = 15.0
    first_band: int = 6
    growth: float = 1.6
    considered: int = 2
    kept: tuple[int, ...] = (3, 1, 1)
    rounds: int = 2


def search_near(
    images: ScoredImages,
    grid: Complex[Tensor, "z y x 1"],
    rotation: Float[Tensor, "b h 3 3"],
    shift_px: Float[Tensor, "b h d"],
    levels: NearLevels = NearLevels(),
) -> tuple[Float[Tensor, "b 3 3"], Float[Tensor, "b d"], Float[Tensor, " b"]]:
    """rotation, shift (pixels) and log-likelihood (up to a constant) of the best pose near any of H hypotheses."""
    band, step, level = images.lattice.band_limit, levels.step_deg, 0
    if rotation.shape[1] > levels.considered:
        low = images.limit(min(band, levels.first_band))
        rotation, shift_px = _best(low, grid, rotation, shift_px, levels.considered)
    while True:
        low = images.limit(min(band, round(levels.first_band * levels.growth**level)))
        turns = rotvec_to_matrix((_ball(levels) if level == 0 else _corners(step)).to(rotation))
        tried = (turns[:, None] @ rotation[:, None]).flatten(1, 2)
        moved = shift_px[:, None].expand(-1, len(turns), -1, -1).flatten(1, 2)
        kept = levels.kept[min(level, len(levels.kept) - 1)]
        rotation, shift_px = _best(low, grid, tried, moved, kept)
        if step / 2 < resolved_deg(band) / 2:
            return refine_poses(images, grid, rotation[:, 0], shift_px[:, 0], step / 2, levels.rounds)
        step, level = step / 2, level + 1


def _best(
    images: ScoredImages, grid: Tensor, rotation: Tensor, shift_px: Tensor, count: int
) -> tuple[Float[Tensor, "b h 3 3"], Float[Tensor, "b h d"]]:
    """The likeliest candidates, their shifts moved towards their best."""
    reach = shift_step(images.lattice.band_limit, images.lattice.box)
    value, moved = images.log_likelihood(grid, rotation, shift_px, reach)
    best = value.topk(min(count, value.shape[1]), dim=1).indices
    row = torch.arange(len(best), device=best.device)[:, None]
    return rotation[row, best], moved[row, best].to(shift_px)


def _ball(levels: NearLevels) -> Float[Tensor, "n 3"]:
    """Rotation vectors of a cubic lattice within reach, radians."""
    count = math.floor(levels.reach_deg / levels.step_deg + 1e-6)
    axis = torch.arange(-count, count + 1) * float(levels.step_deg)
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    return torch.deg2rad(points[points.norm(dim=1) <= levels.reach_deg + 1e-6])


def _corners(step_deg: float) -> Float[Tensor, "8 3"]:
    """The eight children of a cell whose side was twice the step."""
    signs = torch.tensor([-1.0, 1.0])
    return torch.deg2rad(torch.cartesian_prod(signs, signs, signs) * step_deg / 2)
