"""CTF-weighted back projection of a batch: what one batch adds to the accumulators."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hypermol.errors import DataError
from hypermol.imaging import Lattice, image_rotations, image_shifts, shift_phase, slice_coordinates
from hypermol.kernels import insert_grid
from hypermol.reconstruction.accumulators import Accumulators
from hypermol.shapes import Complex, Float, Int

if TYPE_CHECKING:
    from hypermol.particles import Batch

_IMAGES_PER_INSERTION = 128  # bounds the coordinates held at once: 12 bytes per point


@dataclass(frozen=True, eq=False)
class Insertion:
    """n images ready to be inserted: an engine ``Deposit`` into the ``data`` of an ``Accumulators``.

    numerator: [n, P] C X e^{2πi k·t}/σ² (shift undone). weight: [n, P] C²/σ². rotation: [n, 3, 3] of each image.
    half: [n], 0 or 1. Self-conjugate points carry ½, as they meet themselves when the grid is symmetrised. group:
    rotations [g, 3, 3] that leave the molecule as it is; each image is inserted in every equivalent place.
    """

    numerator: Complex[Tensor, "n p"]
    weight: Float[Tensor, "n p"]
    rotation: Float[Tensor, "n 3 3"]
    half: Int[Tensor, " n"]
    lattice: Lattice
    oversampling: int = 2
    group: Float[Tensor, "g 3 3"] | None = None

    def coarser(self, band_limit: int, box: int) -> Insertion:
        """The same images up to a shell, for a grid of ``box`` pixels over the same field of view: transforms keep
        their values, and the grid is as small as the band allows."""
        lattice = self.lattice.limit(band_limit).in_box(box)
        numerator, weight = self.numerator[:, : lattice.size], self.weight[:, : lattice.size]
        return replace(self, numerator=numerator, weight=weight, lattice=lattice)

    def finite(self) -> bool:
        """Whether every number in it is."""
        parts = (torch.view_as_real(self.numerator), self.weight, self.rotation)
        return all(bool(torch.isfinite(part).all()) for part in parts)

    def add_to(self, total: Tensor | None) -> Tensor:
        """Add to ``total`` ([2, 3 G] float64, in place), or to new accumulators where None; and return it.

        Images are added in their order, each half to its own grids, summed in float64.
        """
        box = self.lattice.box
        if total is None:
            sums = Accumulators.zeros(box, self.oversampling, self.numerator.device)
        else:
            sums = Accumulators.view(total, box, self.oversampling)
        for half in range(2):
            grids = sums.numerator(half)[..., None], sums.weight(half)
            for images in torch.nonzero(self.half == half)[:, 0].split(_IMAGES_PER_INSERTION):
                numerator, weight = self.numerator[images][..., None], self.weight[images]
                for rotation in self._equivalent(self.rotation[images]):
                    points = slice_coordinates(self.lattice.k, rotation)
                    insert_grid(numerator, weight, points, box, self.oversampling, out=grids)
        return sums.data

    def _equivalent(self, rotation: Float[Tensor, "n 3 3"]) -> Iterator[Float[Tensor, "n 3 3"]]:
        """The rotations themselves, or R S for each S of the group."""
        if self.group is None:
            yield rotation
        else:
            yield from (rotation @ element.to(rotation) for element in self.group)


def insertion(batch: Batch, oversampling: int = 2) -> Insertion:
    """Back projection of a batch with known poses, any number of images per particle.

    Maximum likelihood of X = C e^{-2πi k·t} V(Rᵀk) + noise of variance σ², summed over images: the normal equations
    (Σ C²/σ²) V = Σ C e^{2πi k·t} X/σ², one per node (DESIGN §1; Scheres 2012, J. Mol. Biol. 415, eq. 6).
    Raises DataError where the batch has no poses.
    """
    if batch.rotation is None or batch.shift is None:
        raise DataError(
            "these particles have no poses (rlnAngleRot, rlnAngleTilt, rlnAnglePsi; alignments3D/pose): "
            "back projection needs them; use particles that have been refined"
        )
    valid = batch.valid
    rotation = image_rotations(batch.rotation[:, None], batch.tilt)[:, 0][valid]
    shift_px = image_shifts(batch.shift[:, None], batch.tilt, batch.image_shift)[:, 0][valid] / batch.pixel_size
    scaled = batch.ctf[valid] * batch.lattice.weight / batch.variance[valid]
    numerator = batch.images[valid] * scaled * shift_phase(batch.lattice.k, -shift_px)
    half = batch.half[:, None].expand(valid.shape)[valid]
    weight = batch.ctf[valid] * scaled
    return Insertion(numerator, weight, rotation, half, batch.lattice, oversampling)
