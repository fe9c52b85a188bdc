"""Columns of the covariance of the volumes, Σ(·, ξ): sums over residual images, and columns regularised by half-sets.

The least-squares estimate of each entry is B/(H + R) with B, H back projected (``kernels.columns``) and R per column
and Fourier shell from the agreement of the halves (Gilles & Singer 2025, PNAS 122:e2419140122, "covariance").
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from hypermol.imaging import slice_coordinates
from hypermol.kernels import grid_shape, grid_to_volumes, insert_columns, slice_grid, symmetrise_moments
from hypermol.kernels.columns import RECORD
from hypermol.maps import filtered
from hypermol.metrics import fsc
from hypermol.reconstruction.insertion import Insertion
from hypermol.reconstruction.shells import Profile, profile_volume, shell_means, squared_radius
from hypermol.reconstruction.support import signal_to_noise
from hypermol.shapes import Complex, Float

ROUNDS = 2
"""Of the prior given the columns, given the prior."""
FAINTEST_GAIN = 0.01
_TOGETHER = 8  # columns whose grids are solved at a time


def residual(images: Insertion, means: list[Complex[Tensor, "z y x 1"]], box: int) -> Insertion:
    """The images less the mean volume of their own half: numerators w C (X - C P μ). ``means``: a grid per half."""
    numerator = images.numerator.clone()
    for half, mean in enumerate(means):
        some = torch.nonzero(images.half == half)[:, 0]
        points = slice_coordinates(images.lattice.k, images.rotation[some])
        slices = slice_grid(mean, points, box, mean.shape[0] // box)[..., 0]
        numerator[some] -= images.weight[some] * slices
    return dataclasses.replace(images, numerator=numerator)


@dataclass(frozen=True, eq=False)
class ColumnInsertion:
    """Residual images and the places of the columns (shells, x y z): an engine ``Deposit`` into the sums of both
    halves. ``box``: of the columns' grids, which may be smaller than that of the images."""

    images: Insertion
    places: Float[Tensor, "m 3"]
    width: float
    box: int

    def finite(self) -> bool:
        """Whether every number in it is."""
        return self.images.finite()

    def add_to(self, total: Tensor | None) -> Tensor:
        """Add to ``total`` [2, M, oB, oB, oB/2 + 1, 5] float32, in place, or to new sums; and return it."""
        images, oversampling = self.images, self.images.oversampling
        if total is None:
            shape = (2, len(self.places), *grid_shape(self.box, oversampling), RECORD)
            total = torch.zeros(shape, dtype=torch.float32, device=images.weight.device)
        k = images.lattice.in_box(self.box).k
        data = images.numerator, images.weight, images.rotation, images.half
        insert_columns(*data, self.places, self.width, k, self.box, total, oversampling)
        return total


@dataclass(frozen=True, eq=False)
class ColumnSums:
    """Complete sums of M columns, of one half or of both: records [M, oB, oB, oB/2 + 1, 5]."""

    records: Float[Tensor, "m z y x 5"]
    box: int
    oversampling: int = 1

    @staticmethod
    def completed(total: Float[Tensor, "h m z y x 5"], box: int, oversampling: int = 1) -> list[ColumnSums]:
        """The columns of each half, their x = 0 planes made whole: in place, once."""
        for half in total:
            for record in half:
                symmetrise_moments(record, 2)
        return [ColumnSums(half, box, oversampling) for half in total]

    def __add__(self, other: ColumnSums) -> ColumnSums:
        return ColumnSums(self.records + other.records, self.box, self.oversampling)

    def split(self, columns: int) -> list[ColumnSums]:
        """The same columns, some at a time."""
        return [ColumnSums(part, self.box, self.oversampling) for part in self.records.split(columns)]

    def noise(self) -> Float[Tensor, "m s"]:
        """1/(o³ H) per shell: the noise variance of an unregularised entry, up to a factor common to the column."""
        mean = self._shell_means(self.records[..., 4])
        return 1 / (self.oversampling**3 * mean).clamp(min=1e-30)

    def solved(self, power: Float[Tensor, "m s"]) -> tuple[Float[Tensor, "m 2 b b b"], Float[Tensor, "3 m s"]]:
        """B/(H + R), R = 1/(o³ power), the covariance with the real and with the imaginary part at ξ; within a shell
        well-measured entries are damped less, but the mean gain of each shell is one. And per shell: that mean gain,
        the noise left, and the mean squared gain."""
        weight = self.records[..., 4].double()
        damped = weight + self._nodes(1 / (self.oversampling**3 * power.double().clamp(min=1e-30)))
        gain = torch.where(damped > 0, weight / damped.clamp(min=1e-30), 0.0)
        left = torch.where(damped > 0, gain / damped.clamp(min=1e-30), 0.0)
        kinds = (gain, left, gain.square())
        mean, noise, square = map(self._shell_means, kinds)
        divisor = damped * self._nodes(mean.clamp(min=1e-30))
        scale = torch.where((weight > 0) & (divisor > 0), 1 / divisor.clamp(min=1e-30), 0.0).to(self.records)
        both = torch.view_as_complex(self.records[..., :4].unflatten(-1, (2, 2)).contiguous()) * scale[..., None]
        maps = torch.stack([grid_to_volumes(one, self.box) for one in both])
        level = mean.square().clamp(min=1e-30)
        return maps, torch.stack([mean, noise / (self.oversampling**3 * level), square / level])

    def _shell_means(self, values: Tensor) -> Tensor:
        return shell_means(lambda slab: values[:, slab], self.box, self.oversampling)

    def _nodes(self, values: Tensor) -> Tensor:
        """Values per column and shell [M, S] at the nodes; 0 beyond the last shell."""
        table = torch.stack([Profile.of(row, self.box, self.oversampling).table for row in values])
        every = slice(0, self.records.shape[1])
        return table[:, squared_radius(every, self.box, self.oversampling).to(table.device)]


@dataclass(frozen=True, eq=False)
class RegularisedColumns:
    """Columns as real maps, two per place (real and imaginary part): of each half and of all images; and the FSC per
    shell between the halves in the mask, mean of the two parts."""

    halves: Float[Tensor, "2 c b b b"]
    whole: Float[Tensor, "c b b b"]
    fsc: Float[Tensor, "m s"]


def regularised_columns(first: ColumnSums, second: ColumnSums, mask: Float[Tensor, "b b b"]) -> RegularisedColumns:
    """Columns inside ``mask``, each damped per shell as far as the halves disagree in it.

    τ² = F/(1 - F) · noise / squared gain per shell, F the FSC of the masked columns, ``ROUNDS`` times from a prior as
    strong as the noise. The mask comes before the radial filter.
    """
    pairs = zip(first.split(_TOGETHER), second.split(_TOGETHER), strict=True)
    halves, whole, curves = zip(*(_regularised(*pair, mask) for pair in pairs), strict=True)
    return RegularisedColumns(torch.cat(halves, 1), torch.cat(whole), torch.cat(curves))


def _regularised(first: ColumnSums, second: ColumnSums, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    power = (first.noise() + second.noise()) / 2
    curves = torch.zeros_like(power)
    for _ in range(ROUNDS):
        solved = [half.solved(power) for half in (first, second)]
        curves = fsc(solved[0][0], solved[1][0], mask).mean(1)
        _, left, square = (solved[0][1] + solved[1][1]) / 2
        ratio = torch.stack([signal_to_noise(curve) for curve in curves])
        power = ratio * left / square.clamp(min=1e-30)
    halves = torch.stack([_filtered(*half.solved(power), mask) for half in (first, second)])
    return halves, _filtered(*(first + second).solved(power), mask), curves


def _filtered(maps: Tensor, profile: Tensor, mask: Tensor) -> Tensor:
    """[M, 2, B, B, B] → [2M, B, B, B]: the mask, then the mean gain that was left out, then the mask."""
    gains = (profile_volume(row.clamp(min=FAINTEST_GAIN), mask.shape[-1]) for row in profile[0])
    return torch.cat([torch.stack([filtered(m * mask, gain) * mask for m in pair]) for pair, gain in zip(maps, gains)])
