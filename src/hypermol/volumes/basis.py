"""The hyper-molecule: V(k, z) in a basis of radial × spherical × conformation functions, linear in its coefficients."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import torch
from torch import Tensor, nn

from hypermol.shapes import Complex, Float
from hypermol.specs import BuildContext, Count, Dimension, Portion, Share, register
from hypermol.volumes.base import Volume
from hypermol.volumes.conformation_basis import ConformationBasis, Domain
from hypermol.volumes.expansion import Expansion

FALL = 2.0


@register("volume", "harmonic-basis")
@dataclasses.dataclass(frozen=True)
class HarmonicBasis:
    """V(k, z) = Σ a_{lnmq} (-i)^l Φ_{ln}(|k|) Y_lm(k/|k|) b_q(z): Lederman, Andén & Singer 2020, Inverse Problems
    36:044005, with the prolate functions of the ball and Legendre or Fourier functions of z."""

    z_dim: Annotated[Dimension, "coordinates of z; 0: one map for all; 2 for a circle"] = 1
    domain: Annotated[Domain, "of z: each coordinate between -1 and 1, or the unit circle"] = "segment"
    degree: Annotated[Count, "highest degree (segment) or frequency (circle) of the functions of z"] = 2
    shells: Annotated[Count, "resolution, in shells (cycles per box)"] = 6
    radius: Annotated[Share, "of the molecule with its motion, in boxes"] = 0.35
    concentration: Annotated[Share, "share of its energy that a function must have inside the radius"] = 0.5
    motion: Annotated[Portion, "prior power of what depends on z, over that of the mean"] = 0.1

    words = "orthogonal basis: radial × spherical harmonics × functions of z"

    def expansion(self, box: int) -> Expansion:
        """The functions of k, for images of ``box`` pixels."""
        return Expansion.of(box, self.band(box), self.radius, self.concentration)

    def conformations(self) -> ConformationBasis:
        """The functions of z."""
        return ConformationBasis(self.domain, self.z_dim, self.degree if self.z_dim else 0)

    def band(self, box: int) -> int:
        """The last shell that has a value."""
        return min(self.shells, box // 2 - 1)

    def shares(self) -> Float[Tensor, " q"]:
        """Prior power of each function of z, over that of the first: ``motion`` / degree², so that smooth dependence on
        z is likelier than rough."""
        degree = torch.tensor([sum(map(abs, powers)) for powers in self.conformations().powers], dtype=torch.float64)
        return torch.where(degree == 0, 1.0, self.motion / degree.clamp(min=1) ** FALL)

    def variance(self, context: BuildContext) -> Float[Tensor, "q n"]:
        """Prior variance of the coefficients, from the signal's amplitude per shell."""
        own = self.expansion(context.box).variance(context.signal_amplitude.double().square(), context.box)
        return self.shares()[:, None] * own

    def build(self, context: BuildContext) -> BasisVolume:
        """The volume, its coefficients drawn from their prior by the run's seed."""
        return BasisVolume(self, context)


class BasisVolume(Volume):
    """The working part of a ``HarmonicBasis``. ``coefficients`` [Q, N]: of b_q(z), then of the functions of k."""

    def __init__(self, spec: HarmonicBasis, context: BuildContext) -> None:
        super().__init__()
        self.box, self.z_dim = context.box, spec.z_dim
        self.expansion, self.conformations = spec.expansion(context.box), spec.conformations()
        spread = spec.variance(context).sqrt()
        generator = torch.Generator().manual_seed(context.seed)
        drawn = spread * torch.randn(spread.shape, generator=generator, dtype=torch.float64)
        self.coefficients = nn.Parameter(drawn.float())

    def values(self, k: Float[Tensor, "n p 3"], z: Float[Tensor, "n d"] | None) -> Complex[Tensor, "n p"]:
        """V(k, z); see Volume. Computed in float64, in chunks of images."""
        kind = torch.complex128 if k.dtype == torch.float64 else torch.complex64
        mixed = self.mixed(z, len(k))
        parts = [
            self.expansion.combined(self.expansion.design(some), row)
            for some, row in zip(k.split(64), mixed.split(64), strict=True)
        ]
        return torch.cat(parts).to(kind)

    def mixed(self, z: Float[Tensor, "n d"] | None, count: int) -> Float[Tensor, "n m"]:
        """The coefficients of V(·, z) for each z; float64."""
        z = self.coefficients.new_zeros(count, 0) if z is None else z
        return self.conformations.values(z.double()) @ self.coefficients.double()
