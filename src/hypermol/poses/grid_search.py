"""Maximum-likelihood search over all rotations and shifts, from a coarse grid at low resolution to a fine one.

A grid over SO(3) is halved level by level (Zhong et al. 2020, appendix A) while the band limit grows. Bounds on what
the shells left out can still change prune nothing at the noise of cryo-EM, so at most a fixed number of candidates is
kept at each level (cryoDRGN2: Zhong et al. 2021, section 3.3; ``pruning.py`` keeps fewer). All rotations and shifts of
the coarsest grid are compared in one matrix product; from there on each candidate's shift climbs by Fisher scoring
instead of being halved too.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
from torch import Tensor

from hypermol.errors import ConfigError
from hypermol.imaging import (
    asymmetric_cells,
    rotations_at,
    shift_phase,
    slice_coordinates,
    spacing_deg,
    subdivide,
)
from hypermol.kernels import slice_grid
from hypermol.poses.pruning import Pruning, within_bound, within_mass
from hypermol.poses.scored import ScoredImages, cut
from hypermol.posteriors import Hypotheses
from hypermol.shapes import Bool, Complex, Float, Int

KEPT = (24, 12, 6, 4)
_PRODUCT_NUMBERS = 1 << 26  # of all rotations × shifts × images that are held at a time


@dataclasses.dataclass(frozen=True)
class SearchLevels:
    """How fine a search begins and ends, and how many candidates live.

    first_order, last_order: of the rotation grid (2: 15°, 6: 0.94°). first_band: shells of the first level; they grow
    by ``growth`` a level, or, where ``linear``, by equal steps, up to ``band_limit`` (None: all). shift_range: fraction
    of the box that the molecule may be off its centre, in each direction. kept: candidates after each level, the last
    number for all later ones; a ``pruning`` by bound or by posterior ``mass`` keeps fewer where it can. symmetry: a
    point group of the volume; one of each set of equal poses is searched.
    """

    first_order: int = 2
    last_order: int = 6
    first_band: int = 6
    growth: float = 1.6
    band_limit: int | None = None
    shift_range: float = 0.08
    kept: tuple[int, ...] = KEPT
    symmetry: str = "C1"
    pruning: Pruning = "number"
    mass: float = 0.999
    linear: bool = False

    def __post_init__(self) -> None:
        """Raises ConfigError for levels that lead nowhere."""
        if not 0 <= self.first_order <= self.last_order:
            raise ConfigError(f"search: orders must grow from 0, found {self.first_order} to {self.last_order}")
        if self.first_band < 1 or self.growth < 1 or not self.kept or min(self.kept) < 1 or self.shift_range < 0:
            raise ConfigError(
                f"search: band, growth and candidates must be at least 1, shifts at least 0, found {self}"
            )

    @classmethod
    def up_to(
        cls,
        band: int,
        shift_range: float,
        kept: int | tuple[int, ...] = KEPT,
        least: int = 2,
        coarser: int = 0,
        **more: Any,
    ) -> SearchLevels:
        """From the first order to the one that ``band`` shells can tell apart, or ``coarser`` by so many orders.
        ``kept``: as a number, halved from level to level down to ``least``."""
        first = cls.first_order
        last = max(first, order_for(band) - coarser)
        if isinstance(kept, int):
            kept = tuple(max(least, kept >> level) for level in range(last - first + 1))
        return cls(first, last, min(cls.first_band, band), shift_range=shift_range, kept=kept, **more)

    def band(self, order: int, largest: int) -> int:
        """Shells that are compared at an order."""
        most = largest if self.band_limit is None else min(self.band_limit, largest)
        level = order - self.first_order
        if self.linear:
            share = level / max(1, self.last_order - self.first_order)
            return min(most, round(self.first_band + share * (most - self.first_band)))
        return min(most, round(self.first_band * self.growth**level))

    def kept_after(self, order: int) -> int:
        """Candidates that go on from an order."""
        return self.kept[min(order - self.first_order, len(self.kept) - 1)]


@dataclasses.dataclass(frozen=True, eq=False)
class Candidates:
    """What is left of a search: H poses for each of B particles, best first.

    cell [B, H]: of the rotation grid, of the particle's *first image*; rotation [B, H, 3, 3] of the particle;
    shift_px [B, H, 2 or 3]; log_likelihood [B, H] up to a constant.
    """

    cell: Int[Tensor, "b h"]
    rotation: Float[Tensor, "b h 3 3"]
    shift_px: Float[Tensor, "b h d"]
    log_likelihood: Float[Tensor, "b h"]

    @property
    def first(self) -> tuple[Float[Tensor, "b 3 3"], Float[Tensor, "b d"], Float[Tensor, " b"]]:
        """The most likely pose of each particle: rotation, shift in pixels, log-likelihood."""
        return self.rotation[:, 0], self.shift_px[:, 0], self.log_likelihood[:, 0]

    def best(self, count: int) -> Candidates:
        """The most likely ``count``, or all."""
        row = self.log_likelihood.topk(min(count, self.log_likelihood.shape[1]), dim=1).indices
        values = (self.cell, self.rotation, self.shift_px, self.log_likelihood)
        return Candidates(*(value[torch.arange(len(row))[:, None], row] for value in values))

    def only(self, kept: Bool[Tensor, "b h"]) -> Candidates:
        """Without those that are not ``kept``: as few columns as the particle with the most needs; a candidate of
        another that is left out has no likelihood, -inf, and no offspring has."""
        value = self.log_likelihood.masked_fill(~kept, -math.inf)
        return dataclasses.replace(self, log_likelihood=value).best(int(kept.sum(1).max()) if len(kept) else 1)

    def hypotheses(self, pixel_size: float, count: int | None = None) -> Hypotheses:
        """The best ``count`` (None: all) as weighted hypotheses, shifts in Å; weights sum to 1: 1 is a point."""
        best = self.best(self.log_likelihood.shape[1] if count is None else count)
        weight = best.log_likelihood.log_softmax(1)
        return Hypotheses(rotation=best.rotation, shift=best.shift_px * pixel_size, log_weight=weight)


def search_poses(
    images: ScoredImages, grid: Complex[Tensor, "z y x 1"], levels: SearchLevels = SearchLevels()
) -> Candidates:
    """The most likely poses of images against one volume (a ``volume_to_grid``)."""
    largest = images.lattice.band_limit
    low = images.limit(levels.band(levels.first_order, largest))
    found = _coarsest(low, grid, levels)
    for order in range(levels.first_order + 1, levels.last_order + 1):
        found = _pruned(found, low, images, grid, levels)
        low = images.limit(levels.band(order, largest))
        found = _scored(low, grid, _finer(found, images, order), shift_step(low.lattice.band_limit, low.lattice.box))
        found = found.best(levels.kept_after(order))
    return found


def _pruned(
    found: Candidates, low: ScoredImages, images: ScoredImages, grid: Tensor, levels: SearchLevels
) -> Candidates:
    if levels.pruning == "number":
        return found
    if levels.pruning == "mass":
        return found.only(within_mass(found.log_likelihood, levels.mass))
    whole = images if levels.band_limit is None else images.limit(min(levels.band_limit, images.lattice.band_limit))
    rotation, shift, _ = found.first
    return found.only(within_bound(found.log_likelihood, low, whole, grid, rotation, shift))


def _coarsest(images: ScoredImages, grid: Tensor, levels: SearchLevels) -> Candidates:
    """All rotations and shifts of the first grid, of each particle's first image alone; then, with more images, of all
    its images, along the shift that only those see."""
    lattice, box = images.lattice, images.lattice.box
    cells_in = asymmetric_cells(levels.symmetry, levels.first_order).to(images.weight.device)
    turned = rotations_at(cells_in, levels.first_order).to(images.weight)
    low = cut(grid, box, lattice.band_limit)
    points = slice_coordinates(lattice.k, turned) * (grid.shape[0] / low.shape[0])
    slices = slice_grid(low, points, low.shape[0] // 2)[..., 0]
    step = shift_step(lattice.band_limit, lattice.box)
    shifts = shift_grid(levels.shift_range * box, step, images.weight)
    phase = shift_phase(lattice.k, shifts).conj()
    power = 2 * images.weight[:, 0] @ slices.abs().square().T
    table = torch.view_as_real(slices.resolve_conj()).flatten(-2).T.contiguous()
    cells, at, value = [], [], []
    size = max(1, _PRODUCT_NUMBERS // (len(turned) * len(shifts)))
    for numerator, own in zip(images.numerator[:, 0].split(size), power.split(size), strict=True):
        moved = torch.view_as_real((numerator[:, None] * phase).resolve_conj()).flatten(-2)
        overlap, where = (2 * moved @ table).max(1)
        score = overlap - own / 2
        best, cell = score.topk(min(levels.kept_after(levels.first_order), score.shape[1]), dim=1)
        cells.append(cell)
        at.append(where.gather(1, cell))
        value.append(best)
    cell, shift = torch.cat(cells), shifts[torch.cat(at)] - images.image_shift_px[:, :1]
    rotation, cell = images.tilt[:, :1].mT @ turned[cell], cells_in[cell]
    if images.shift_dim == 2:
        return Candidates(cell, rotation, shift, torch.cat(value).double())
    return _with_depth(images, grid, levels, Candidates(cell, rotation, shift, torch.cat(value).double()))


def _with_depth(images: ScoredImages, grid: Tensor, levels: SearchLevels, found: Candidates) -> Candidates:
    """Candidates of one image at several depths along its view, scored by all images of the particle; at one depth
    where that is its only view: candidates that differ in nothing seen would crowd out others."""
    reach, step = levels.shift_range * images.lattice.box, shift_step(images.lattice.band_limit, images.lattice.box)
    depth = torch.arange(-math.ceil(reach / step), math.ceil(reach / step) + 1).to(found.shift_px) * step
    flat = found.shift_px[:, :, None].expand(-1, -1, len(depth), -1)
    seen = torch.cat([flat, depth[:, None].expand(*flat.shape[:-1], 1)], -1)
    shift = (images.tilt[:, :1].mT[:, :, None] @ seen[..., None])[..., 0].flatten(1, 2)
    cell = found.cell[:, :, None].expand(-1, -1, len(depth)).flatten(1)
    rotation = found.rotation[:, :, None].expand(-1, -1, len(depth), -1, -1).flatten(1, 2)
    offered = torch.where(images.tell_depth[:, None] | (depth == 0), 0.0, -math.inf).to(shift)
    unscored = Candidates(cell, rotation, shift, offered.repeat(1, found.cell.shape[1]))
    return _scored(images, grid, unscored, step).best(levels.kept_after(levels.first_order))


def _finer(found: Candidates, images: ScoredImages, order: int) -> Candidates:
    """The eight children of each candidate, at their parent's shift."""
    cell = subdivide(found.cell, order - 1).flatten(1)
    rotation = images.tilt[:, :1].mT @ rotations_at(cell, order).to(found.rotation)
    shift = found.shift_px.repeat_interleave(8, dim=1)
    return Candidates(cell, rotation, shift, found.log_likelihood.repeat_interleave(8, dim=1))


def _scored(images: ScoredImages, grid: Tensor, at: Candidates, reach_px: float) -> Candidates:
    value, shift = images.log_likelihood(grid, at.rotation, at.shift_px, reach_px)
    value = value.masked_fill(at.log_likelihood == -math.inf, -math.inf)
    return dataclasses.replace(at, shift_px=shift, log_likelihood=value)


def shift_step(band_limit: int, box: int) -> float:
    """Pixels that turn the phase of the finest shell by a quarter of a cycle."""
    return box / (4 * max(band_limit, 1))


def shift_grid(reach: float, step: float, like: Tensor) -> Float[Tensor, "t 2"]:
    """Shifts within a square of ± reach, px."""
    count = math.ceil(reach / step - 0.5) if reach > 0 else 0
    axis = torch.arange(-count, count + 1).to(like) * step
    return torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).flatten(0, 1)


def order_for(band_limit: int) -> int:
    """The rotation grid whose steps are about as fine as ``band_limit`` shells can tell apart: 30° / shells."""
    order = 0
    while spacing_deg(order) > resolved_deg(band_limit):
        order += 1
    return order


def resolved_deg(band_limit: int) -> float:
    """The smallest turn, about, that ``band_limit`` shells can tell from none."""
    return 31.0 / band_limit
