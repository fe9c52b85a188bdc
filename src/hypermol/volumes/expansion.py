"""A function in Fourier space as a sum of radial functions × spherical harmonics, with real coefficients.

V(k) = Σ a_{lnm} (-i)^l Φ_{ln}(|k|/K) Y_lm(k/|k|). With the factor (-i)^l a real a stands for a real density, so that
V(-k) = V(k)* whatever a is: even l make the real part of V, odd l the imaginary one. Coefficients [N] are ordered by
the parity of l (even first), then l, then n, then m = -l … l.
"""

from __future__ import annotations

import dataclasses
import math
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from hypermol.shapes import Complex, Float, Int
from hypermol.volumes.harmonics import euler_angles, quarter_turn, solid_harmonics, turned_about_z
from hypermol.volumes.prolate import RadialFunctions, radial_functions

_CHEBYSHEV = 96
_NEGLIGIBLE = 1e-14


@dataclasses.dataclass(frozen=True, eq=False)
class Expansion:
    """The functions of one band limit and extent. ``largest``: K, cycles/pixel, beyond which V is zero;
    ``bandwidth``: 2π K × the radius of space in pixels; ``families``: the radial functions of l = 0, 1, …"""

    largest: float
    bandwidth: float
    families: tuple[RadialFunctions, ...]

    @staticmethod
    def of(box: int, shells: int, radius: float, least: float) -> Expansion:
        """All functions up to ``shells`` (cycles/box) that hold a share of ``least`` of their energy within ``radius``
        boxes. Raises ConfigError where there are none, or far too many."""
        largest = (shells + 0.5) / box
        bandwidth = 2 * math.pi * largest * radius * box
        return Expansion(largest, bandwidth, radial_functions(bandwidth, least))

    @cached_property
    def blocks(self) -> tuple[tuple[int, int, int], ...]:
        """(l, first coefficient, number of radial functions), in the order of the coefficients."""
        found, start = [], 0
        for parity in (0, 1):
            for family in self.families[parity::2]:
                found.append((family.degree, start, len(family.mixing)))
                start += len(family.mixing) * (2 * family.degree + 1)
        return tuple(found)

    @property
    def size(self) -> int:
        """N, the number of coefficients."""
        return sum(count * (2 * degree + 1) for degree, _, count in self.blocks)

    @property
    def even(self) -> int:
        """How many of them have an even l."""
        return sum(count * (2 * degree + 1) for degree, _, count in self.blocks if degree % 2 == 0)

    @cached_property
    def index(self) -> dict[str, Int[Tensor, " n"]]:
        """Of each coefficient: "l", "m", and "radial": its place among all radial functions, by l, then n."""
        offset = np.cumsum([0, *(len(family.mixing) for family in self.families)])
        rows = [
            (ell, m, offset[ell] + n)
            for ell, _, count in self.blocks
            for n in range(count)
            for m in range(-ell, ell + 1)
        ]
        columns = torch.tensor(rows, dtype=torch.int64).unbind(1)
        return dict(zip(("l", "m", "radial"), columns, strict=True))

    @cached_property
    def _chebyshev(self) -> Float[Tensor, "j f"]:
        """Φ_{ln}(r) / r^l, polynomials in r², in Chebyshev polynomials of 2r² - 1."""
        nodes = np.cos(np.pi * (np.arange(_CHEBYSHEV) + 0.5) / _CHEBYSHEV)
        values = np.concatenate([family.over_power(np.sqrt((nodes + 1) / 2)) for family in self.families])
        series = np.polynomial.chebyshev.chebvander(nodes, _CHEBYSHEV - 1).T @ values.T * (2 / _CHEBYSHEV)
        series[0] /= 2
        used = np.abs(series).max(1) > _NEGLIGIBLE * np.abs(series).max()
        return torch.from_numpy(series[: int(np.nonzero(used)[0].max()) + 1])

    def radial(self, squared: Float[Tensor, "*b"]) -> Float[Tensor, "*b f"]:
        """Φ_{ln}(r) / r^l at r² (in units of K²), 0 beyond K; float64."""
        series = self._chebyshev.to(squared.device)
        u = (2 * squared.double() - 1).clamp(-1, 1)
        terms = [torch.ones_like(u), u]
        while len(terms) < len(series):
            terms.append(2 * u * terms[-1] - terms[-2])
        return torch.stack(terms, -1) @ series * (squared <= 1)[..., None]

    def design(self, k: Float[Tensor, "*b p 3"]) -> Float[Tensor, "*b p n"]:
        """What each coefficient adds to V at k (cycles/pixel), a real number: to its real part for even l, to its
        imaginary part for odd l. float64."""
        scaled = k.double() / self.largest
        where = {name: value.to(k.device) for name, value in self.index.items()}
        harmonics = solid_harmonics(scaled, len(self.families) - 1)
        degree, order = where["l"], where["m"]
        sign = 1.0 - 2.0 * ((degree + 1) // 2 % 2)  # (-i)^l: 1, -i, -1, i
        radial = self.radial(scaled.square().sum(-1))
        return harmonics[..., degree * degree + degree + order] * radial[..., where["radial"]] * sign

    def combined(
        self, design: Float[Tensor, "*#b p n"], coefficients: Float[Tensor, "*#b n"]
    ) -> Complex[Tensor, "*c p"]:
        """V at the points of a ``design``."""
        a = coefficients[..., None]
        real = design[..., : self.even] @ a[..., : self.even, :]
        imaginary = design[..., self.even :] @ a[..., self.even :, :]
        return torch.complex(real[..., 0], imaginary[..., 0])

    def turned(self, coefficients: Float[Tensor, "*b n"], rotation: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b n"]:
        """Coefficients of k → V(Rᵀk), by R = Rz Ry Rz: turns about z mix ±m alone, and one about y is one about z
        between two fixed quarter turns (Pinchon & Hoggan 2007, J. Phys. A 40:1597)."""
        rotation = rotation.to(coefficients.dtype)
        angles, near = euler_angles(rotation)
        last = len(self.families) - 1
        turns = -angles[..., None] * torch.arange(-last, last + 1, dtype=angles.dtype, device=angles.device)
        tables = [(one.cos(), one.sin()) for one in turns.unbind(-2)]
        parts = []
        for degree, start, count in self.blocks:
            part = coefficients[..., start : start + count * (2 * degree + 1)].unflatten(-1, (count, 2 * degree + 1))
            matrix, inside = quarter_turn(degree).to(part), slice(last - degree, last + degree + 1)
            rot, tilt, psi = ((c[..., inside], s[..., inside]) for c, s in tables)
            if near is not None:  # R = (R Qᵀ) Q
                part = torch.where(near[..., None, None], _times(part, matrix), part)
            part = _times(turned_about_z(part, *rot), matrix)
            part = _times(turned_about_z(part, *tilt), matrix.mT)
            parts.append(turned_about_z(part, *psi).flatten(-2))
        return torch.cat(parts, -1)

    def variance(self, power: Float[Tensor, " s"], box: int) -> Float[Tensor, " n"]:
        """Prior variance of each coefficient under which E|V(k)|² is about ``power`` (by shell) wherever V can reach:
        the mean of the power under Φ² r², over the density of functions, (bandwidth)³ / 6π²; float64."""
        radius = torch.linspace(0, 1, 513, dtype=torch.float64)[1:]
        shell = (radius * self.largest * box).round().long().clamp(max=len(power) - 1)
        over = self.radial(radius.square())
        degree = torch.cat([torch.full((len(f.mixing),), f.degree) for f in self.families])
        weight = (over * radius[:, None] ** degree).square() * radius[:, None].square()
        mean = (weight * power.double().cpu()[shell, None]).sum(0) / weight.sum(0)
        return mean[self.index["radial"]] / (self.bandwidth**3 / (6 * math.pi**2))


def _times(part: Tensor, matrix: Tensor) -> Tensor:
    """[…, r, m] by [m, m] as one product."""
    return (part.reshape(-1, part.shape[-1]) @ matrix).view(part.shape)
