"""Images on rings of Fourier space: angular coefficients that a turn in the plane only multiplies by a phase."""

from __future__ import annotations

import dataclasses
import math
from functools import cached_property

import torch
from torch import Tensor

from hypermol.imaging.lattice import Lattice
from hypermol.shapes import Complex, Float, Int

BEYOND = 1.0  # orders more than 2π |k| × radius, where Bessel functions of higher order have died away
DISC, EDGE = (
    0.4,
    0.1,
)  # boxes: least radius of the disc that images are cut to, as a CTF spreads them, and its soft edge


@dataclasses.dataclass(frozen=True)
class Rings:
    """Features (m, s): X_m(s) = (1/2π) ∫ X(s/D, ψ) exp(-imψ) dψ on the rings s = 1 … ``shells`` (cycles per box), for
    the orders m ≥ 0 that a molecule within ``radius`` (boxes) can have; X_-m = (-1)^m X_m* as images are real.

    A turn by α in the plane multiplies X_m by exp(-imα). So products whose orders add up to none, averaged over images,
    do not depend on how in-plane angles are distributed. ``third``: whether triples are asked for too.
    """

    shells: int
    radius: float
    third: bool = True

    @cached_property
    def features(self) -> tuple[tuple[int, int], ...]:
        """(m, s) of each feature."""
        last = [math.ceil(2 * math.pi * s * self.radius + BEYOND) for s in range(self.shells + 1)]
        return tuple(sorted((m, s) for s in range(1, self.shells + 1) for m in range(last[s] + 1)))

    @cached_property
    def order(self) -> Int[Tensor, " f"]:
        """m of each feature."""
        return torch.tensor([m for m, _ in self.features])

    @cached_property
    def ring(self) -> Int[Tensor, " f"]:
        """s of each feature."""
        return torch.tensor([s for _, s in self.features])

    @cached_property
    def products(self) -> tuple[Int[Tensor, "1 o"], Int[Tensor, "2 p"], Int[Tensor, "3 t"]]:
        """Features of the means X_a (m = 0), X_a X_b* (one m, a ≤ b), and X_a X_b X_c* (m_a + m_b = m_c, a ≤ b): every
        product of up to three whose orders add up to none, but for complex conjugates."""
        place = {feature: number for number, feature in enumerate(self.features)}
        numbered = list(enumerate(self.features))
        ones = [a for a, (m, _) in numbered if m == 0]
        pairs = [(a, b) for a, (m, _) in numbered for b, (n, _) in numbered[a:] if m == n]
        triples = [
            (a, b, place[m + n, s])
            for a, (m, _) in numbered
            for b, (n, _) in numbered[a:]
            for s in range(1, self.shells + 1)
            if (m + n, s) in place
        ]
        return (
            torch.tensor([ones]),
            torch.tensor(pairs).T,
            torch.tensor(triples if self.third else [], dtype=torch.int64).reshape(-1, 3).T,
        )

    @cached_property
    def circle(self) -> Float[Tensor, "a 2"]:
        """Unit vectors at equal angles, more of them than twice the highest order."""
        count = 2 * (int(self.order.max()) + 4)
        angle = torch.arange(count, dtype=torch.float64) * (2 * math.pi / count)
        return torch.stack([angle.cos(), angle.sin()], -1)

    @cached_property
    def waves(self) -> Complex[Tensor, "f a"]:
        """exp(-imψ) / A: takes the values on a ring to a feature."""
        angle = torch.atan2(self.circle[:, 1], self.circle[:, 0])
        return torch.polar(
            torch.full_like(angle, 1 / len(angle)).expand(len(self.order), -1), -self.order[:, None] * angle
        )


@dataclasses.dataclass(frozen=True, eq=False)
class RingMap:
    """Packed transforms [..., P] → features [..., F], a linear map over the reals: direct X + conjugate X*."""

    direct: Complex[Tensor, "f p"]
    conjugate: Complex[Tensor, "f p"]

    @classmethod
    def of(cls, rings: Rings, lattice: Lattice) -> RingMap:
        """Exact values between the pixels of the transform, of the image times a soft disc around the molecule."""
        box = lattice.box
        x = torch.arange(box, dtype=torch.float64) - box // 2
        place = torch.stack(torch.meshgrid(x, x, indexing="xy"), -1).flatten(0, 1)
        disc = _soft_disc(place.norm(dim=-1) / box, max(rings.radius, DISC))
        where = torch.nonzero(disc > 0)[:, 0]
        place, disc = place[where], disc[where]
        k = lattice.k.double().cpu()
        back = torch.polar(lattice.weight.double().cpu().expand(len(where), -1) / box**2, 2 * math.pi * place @ k.T)
        rows = torch.empty(len(rings.features), len(where), dtype=torch.complex128)
        for s in range(1, rings.shells + 1):
            at = rings.circle * (s / box)
            out = torch.polar(disc.expand(len(at), -1), -2 * math.pi * at @ place.T)
            rows[rings.ring == s] = rings.waves[rings.ring == s] @ out
        direct, conjugate = rows @ back, rows @ back.conj()
        own = (
            lattice.weight.cpu() < 1
        )  # real pixels, their own conjugates: all of them in one part, as ``noise`` has it
        direct[:, own], conjugate[:, own] = direct[:, own] + conjugate[:, own], 0.0
        return cls(direct.to(lattice.k.device), conjugate.to(lattice.k.device))

    def __call__(self, images: Complex[Tensor, "n p"]) -> Complex[Tensor, "n f"]:
        """Features of images; complex128."""
        images = images.to(self.direct)
        return images @ self.direct.T + images.conj() @ self.conjugate.T

    def noise(self, variance: Float[Tensor, " p"]) -> Complex[Tensor, "f f"]:
        """E N_a N_b* of independent pixels with these variances."""
        variance = variance.to(self.direct)
        return (self.direct * variance) @ self.direct.mH + (self.conjugate * variance) @ self.conjugate.mH


def _soft_disc(radius: Tensor, inner: float) -> Tensor:
    """1 within ``inner``, falling to 0 over the edge."""
    return 0.5 + 0.5 * torch.cos(math.pi * ((radius - inner) / EDGE).clamp(0, 1))
