"""The likelihood that chains sample: of any volume family, and, much faster, of one in a harmonic basis."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from hypermol.imaging import Lattice, image_shifts, shift_phase
from hypermol.objectives import negative_log_likelihood
from hypermol.poses import ScoredImages
from hypermol.posteriors import Hypotheses
from hypermol.shapes import Float
from hypermol.volumes import ConformationBasis, Expansion, Volume

OfConformation = Callable[[Tensor], Tensor]
_NUMBERS = 1 << 22  # of slices that are held at a time


class Target(ABC):
    """log p(images of a particle | pose, z) of one batch, up to a constant; C chains, K candidates in each."""

    @abstractmethod
    def log_likelihood(
        self, rotation: Float[Tensor, "b c k 3 3"], shift: Float[Tensor, "b c k s"], z: Float[Tensor, "b c k d"]
    ) -> Float[Tensor, "b c k"]:
        """Of each candidate; shift in Å; float64; differentiable in all three."""

    def of_conformation(self, rotation: Float[Tensor, "b c 3 3"], shift: Float[Tensor, "b c s"]) -> OfConformation:
        """The same as a function of z [b, c, k, d] alone."""

        def value(z: Tensor) -> Tensor:
            turned = rotation[:, :, None].expand(-1, -1, z.shape[2], -1, -1)
            return self.log_likelihood(turned, shift[:, :, None].expand(-1, -1, z.shape[2], -1), z)

        return value


@dataclasses.dataclass(frozen=True, eq=False)
class VolumeTarget(Target):
    """Any volume, by its values at each pose: every chain sees the same one."""

    volume: Volume
    batch: Any

    def log_likelihood(self, rotation: Tensor, shift: Tensor, z: Tensor) -> Tensor:
        """See Target."""
        kind = self.batch.images.real.dtype
        flat = [value.flatten(1, 2).to(kind) for value in (rotation, shift, z)]
        hypotheses = Hypotheses(flat[0], flat[1], flat[2] if self.volume.z_dim else None)
        nll = negative_log_likelihood(self.volume, hypotheses, self.batch)
        return -nll.unflatten(1, rotation.shape[1:3]).double()


@dataclasses.dataclass(frozen=True, eq=False)
class BasisTarget(Target):
    """A volume in a harmonic basis, whose slices are the same plane of turned coefficients.

    coefficients [C, Q, N]: one volume per chain; plane [P, N]: ``plane_of`` the batch's lattice; numerator, weight
    [B, J, P]: C X w/σ² and C² w/σ²."""

    expansion: Expansion
    conformations: ConformationBasis
    coefficients: Float[Tensor, "c q n"]
    plane: Float[Tensor, "p n"]
    numerator: Tensor
    weight: Float[Tensor, "b j p"]
    batch: Any

    @staticmethod
    def of(
        expansion: Expansion, conformations: ConformationBasis, coefficients: Tensor, plane: Tensor, batch: Any
    ) -> BasisTarget:
        """The likelihood of a batch under volumes [C, Q, N]."""
        images = ScoredImages.of(batch)
        numerator, weight = images.numerator.to(torch.complex128), images.weight.double()
        return BasisTarget(expansion, conformations, coefficients.double(), plane, numerator, weight, batch)

    def log_likelihood(self, rotation: Tensor, shift: Tensor, z: Tensor) -> Tensor:
        """See Target."""
        size = max(1, _NUMBERS // (self.numerator.numel() * len(self.coefficients)))
        parts = zip(*(value.split(size, 2) for value in (rotation, shift, z)), strict=True)
        return torch.cat([self._some(*part) for part in parts], 2)

    def _some(self, rotation: Tensor, shift: Tensor, z: Tensor) -> Tensor:
        mixed = torch.einsum("bckq,cqn->bckn", self.conformations.values(z), self.coefficients)
        slices = self._slices(mixed[..., None, :], rotation)
        power = (slices.real.square() + slices.imag.square()) * self.weight[:, None, None]
        return 2 * _product(slices, self._centred(shift)) - power.sum((-2, -1))

    def of_conformation(self, rotation: Tensor, shift: Tensor) -> OfConformation:
        """See Target. Quadratic in the functions of z: 2 b·h - bᵀG b."""
        several = rotation[:, :, None].expand(-1, -1, self.conformations.size, -1, -1)
        slices = self._slices(self.coefficients[:, :, None], several)
        projection = _product(slices, self._centred(shift)[:, :, None])
        weighted = slices * self.weight[:, None, None]
        gram = torch.einsum("bcqjp,bcrjp->bcqr", weighted.real, slices.real)
        gram = gram + torch.einsum("bcqjp,bcrjp->bcqr", weighted.imag, slices.imag)

        def value(z: Tensor) -> Tensor:
            functions = self.conformations.values(z)
            linear = torch.einsum("bckq,bcq->bck", functions, projection)
            return 2 * linear - torch.einsum("bckq,bcqr,bckr->bck", functions, gram, functions)

        return value

    def _slices(self, coefficients: Tensor, rotation: Tensor) -> Tensor:
        """Slices [B, C, K, J, P] of volumes […, 1, N] at the poses of each image of a particle."""
        seen = self.batch.tilt.double()[:, None, None] @ rotation[:, :, :, None]
        turned = self.expansion.turned(coefficients.expand(*seen.shape[:-2], -1), seen)
        half, plane = self.expansion.even, self.plane
        return torch.complex(turned[..., :half] @ plane[:, :half].T, turned[..., half:] @ plane[:, half:].T)

    def _centred(self, shift: Tensor) -> Tensor:
        """C X w/σ² moved back by the shift, [B, …, J, P]."""
        return centred_numerator(self.numerator, self.batch, shift)


def _product(slices: Tensor, centred: Tensor) -> Tensor:
    """Re Σ conj(slice) · image over the images of a particle."""
    return (slices.real * centred.real + slices.imag * centred.imag).sum((-2, -1))


def plane_of(expansion: Expansion, lattice: Lattice) -> Float[Tensor, "p n"]:
    """What each coefficient adds to the points of an untilted slice (``Expansion.design``)."""
    return expansion.design(pad(lattice.k.double(), (0, 1)))


def centred_numerator(numerator: Tensor, batch: Any, shift: Float[Tensor, "b *c s"]) -> Tensor:
    """``numerator`` [B, J, P] times exp(2πi k·t) of the shift of each image, [B, …, J, P]; shift in Å."""
    between = shift.shape[1:-1]
    moved = image_shifts(shift.flatten(1, -2), batch.tilt.double(), batch.image_shift.double())
    phase = shift_phase(batch.lattice.k.double(), moved / batch.pixel_size)
    return (numerator[:, None] * phase.conj()).unflatten(1, between)
