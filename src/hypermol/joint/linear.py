"""Poses under a linear family of maps, z and contrast integrated out: each pose has its evidence in closed form.

A pose that is right for one conformation is wrong for another, and the conformation is not known before the pose is:
with z integrated out, poses are compared under all conformations at once (Tipping & Bishop 1999, with a projection per
pose; the variational bound where the contrast varies).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hypermol.conformations import GaussianPosterior, gaussian_posterior
from hypermol.imaging import Lattice, image_rotations, image_shifts, shift_phase
from hypermol.kernels import slice_moments, slice_separate
from hypermol.poses import ScoredImages, climb_step
from hypermol.shapes import Complex, Float


@dataclass(frozen=True, eq=False)
class LinearImages:
    """What ``ScoredImages`` is to one map, to a mean and its principal volumes: grids [z, y, x, C] of C channels, the
    mean first, z ~ N(0, 1) of the others; a contrast ~ N(1, ``contrast_variance``) of each particle."""

    images: ScoredImages
    contrast_variance: float = 0.0
    oversampling: int = 2

    @property
    def lattice(self) -> Lattice:
        """Of the images."""
        return self.images.lattice

    def log_likelihood(
        self,
        grid: Complex[Tensor, "z y x c"],
        rotation: Float[Tensor, "b h 3 3"],
        shift_px: Float[Tensor, "b h d"],
        reach_px: float = 0.0,
    ) -> tuple[Float[Tensor, "b h"], Float[Tensor, "b h d"]]:
        """log p of H poses per particle, up to a constant; float64. With ``reach_px``, all shifts of a particle take
        the step of Fisher's scoring, of at most so many pixels, that its first pose asks for."""
        if reach_px > 0:
            shift_px = shift_px + self._step(grid, rotation[:, :1], shift_px[:, :1], reach_px).to(shift_px.dtype)
        numerator, weight, turned = self._at(rotation, shift_px)
        found = self._posterior(*self._moments(grid, numerator, weight, turned, rotation.shape[:2]))
        return found.log_evidence.unflatten(0, rotation.shape[:2]), shift_px

    def _step(self, grid: Tensor, rotation: Tensor, shift_px: Tensor, reach_px: float) -> Tensor:
        """[B, 1, d]. The evidence changes with the shift as the likelihood does at the posterior of z and contrast; how
        fast that change ends is taken from each map by itself, and from each direction."""
        numerator, weight, turned = self._at(rotation, shift_px)
        shape = rotation.shape[:2]
        first, second = self._posterior(*self._moments(grid, numerator, weight, turned, shape)).moments()
        kx, ky = (2 * math.pi * self.lattice.k).unbind(-1)
        seen = self.images.tilt[:, :, :2, : shift_px.shape[-1]].double()
        numbers = []
        owned = [part.repeat_interleave(seen.shape[1], 0) for part in (first, second.diagonal(dim1=-2, dim2=-1))]
        for along in (kx, ky):
            data = 1j * along * numerator, weight * along.square(), turned, self.lattice.k
            power, overlap = slice_separate(grid, *data, self.lattice.box, self.oversampling)
            numbers.append(torch.stack([(owned[0] * overlap).sum(-1), (owned[1] * power).sum(-1)]))
        gradient, bend = torch.stack(numbers, -1).unflatten(1, (len(seen), -1))
        information = torch.diag_embed(bend)
        pull = torch.einsum("bjxd,bjx->bd", seen, gradient)
        bent = torch.einsum("bjxd,bjxy,bjye->bde", seen, information, seen)
        return climb_step(bent[:, None], pull[:, None], reach_px)

    def _at(self, rotation: Tensor, shift_px: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Each image moved back by each pose's shift, its weight and its rotation: particles × poses × images."""
        images, shape = self.images, (*rotation.shape[:2], self.images.tilt.shape[1])
        moved = image_shifts(shift_px, images.tilt, images.image_shift_px)
        numerator = images.numerator[:, None] * shift_phase(self.lattice.k, -moved)
        weight = images.weight[:, None].expand(*shape, -1)
        turned = image_rotations(rotation, images.tilt)
        return numerator.flatten(0, 2), weight.flatten(0, 2), turned.flatten(0, 2)

    def _moments(
        self, grid: Tensor, numerator: Tensor, weight: Tensor, turned: Tensor, shape: tuple[int, ...]
    ) -> tuple[Tensor, Tensor]:
        """Gram matrices and projections, summed over the images of a particle at one pose: particles × poses."""
        found = self._each(grid, numerator, weight, turned)
        gram, projection = (part.unflatten(0, (math.prod(shape), -1)).sum(1) for part in found)
        return gram, projection

    def _each(self, grid: Tensor, numerator: Tensor, weight: Tensor, turned: Tensor) -> tuple[Tensor, Tensor]:
        data = numerator.contiguous(), weight.contiguous(), turned.contiguous(), self.lattice.k
        return slice_moments(grid, *data, self.lattice.box, self.oversampling)

    def _posterior(self, gram: Tensor, projection: Tensor) -> GaussianPosterior:
        return gaussian_posterior(gram, projection, self.contrast_variance)
