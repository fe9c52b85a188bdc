"""Moves of all particles of a chain together, and of its volume with them, along what images hardly tell apart.

Where the molecule lies in its frame, a turn or a shift that grows with z, how z is spread over its domain: all poses,
or all z, change, the volume changes with them, and no slice does, but for what the basis cannot hold. One particle at
a time does not get there, because the volume, sharp given the others, holds it back.

Each way is a group of one parameter that acts on poses, z and coefficients. A draw from its orbit, in proportion to the
posterior times the Jacobian, leaves the posterior as it is (Liu & Sabatti 2000, Biometrika 87:353). Here it is a choice
among the present point and others on the orbit, all normal about one centre, so that the present one is one of them.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from hypermol.imaging import rotvec_to_matrix
from hypermol.joint.states import States
from hypermol.shapes import Float
from hypermol.volumes import ConformationBasis, Expansion

TRIES = 5
GOAL = 0.6
"""Share of choices that should fall on another point than the present one; more: steps are shorter than they may be."""
_STEP = 1e-4
_RADII = 64
FIRST = {"shift": 0.2, "drift": 0.2, "turn": 0.02, "spread": 0.05}
"""Lengths that tuning begins with: pixels, radians, and times of flows of z."""


@dataclasses.dataclass(frozen=True)
class Way:
    """shift: of the molecule; drift: of it in proportion to ``coordinate`` of z; turn: the same of a turn; spread: z
    flows along that coordinate, by one of the flows of its domain (``_flowed``)."""

    kind: Literal["shift", "drift", "turn", "spread"]
    coordinate: int = 0
    flow: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Together:
    """The ways of one basis. ``direction`` [C, 3]: unit vectors in the molecule's frame (unused by ``spread``);
    ``amount`` [C, K]: where on the orbit; 0 is the present point."""

    expansion: Expansion
    conformations: ConformationBasis
    pixel_size: float

    @property
    def ways(self) -> tuple[Way, ...]:
        """All there are for this domain of z."""
        basis = self.conformations
        found = [Way("shift")]
        for place in range(basis.z_dim if basis.degree else 0):
            found += [Way("drift", place), Way("turn", place)]
        places = range(basis.z_dim if basis.domain == "segment" else 1)
        flows = 2 if basis.domain == "segment" else 3
        spreads = [Way("spread", *which) for which in itertools.product(places, range(flows))]
        return (*found, *(spreads if basis.z_dim and basis.degree else ()))

    def volumes(
        self, way: Way, direction: Float[Tensor, "c 3"], amount: Float[Tensor, "c k"], a: Float[Tensor, "c q n"]
    ) -> tuple[Float[Tensor, "c k q n"], Float[Tensor, "c k"]]:
        """Coefficients at each place, and the log of the Jacobian."""
        if way.kind == "spread":
            generator = self._spreading[way].to(a)
            moved = torch.linalg.matrix_exp(-amount[..., None, None] * generator) @ a[:, None]
            return moved, -amount * generator.trace() * a.shape[-1]
        still = amount.new_zeros(amount.shape)
        if way.kind == "shift":
            moved = self._shifted(
                a[:, None].expand(-1, amount.shape[1], -1, -1), direction[:, None] * amount[..., None]
            )
            return moved, still
        value, vector = (part.to(a) for part in torch.linalg.eigh(self._times_z[way.coordinate]))
        apart = (vector.T @ a)[:, None].expand(-1, amount.shape[1], -1, -1)
        step = direction[:, None, None] * (amount[..., None] * value)[..., None]  # [C, K, Q, 3]
        if way.kind == "turn":
            apart = self.expansion.turned(apart, rotvec_to_matrix(step))
        else:
            apart = torch.cat([self._shifted(apart[:, :, [q]], step[:, :, q]) for q in range(len(value))], 2)
        return vector @ apart, still

    def states(
        self, way: Way, direction: Float[Tensor, "c 3"], amount: Float[Tensor, "c k"], at: States
    ) -> tuple[States, Float[Tensor, "b c k"]]:
        """Poses and z [B, C] at each place, [B, C, K] (no likelihoods), and the log of the Jacobian."""
        count = amount.shape[1]
        rotation, shift, z = (
            value[:, :, None].expand(*value.shape[:2], count, *value.shape[2:])
            for value in (at.rotation, at.shift, at.z)
        )
        stretch = z.new_zeros(z.shape[:3])
        if way.kind == "spread":
            z, stretch = _flowed(z, way, self.conformations.domain, amount)
        else:
            share = 1.0 if way.kind == "shift" else z[..., way.coordinate]
            vector = direction[:, None] * (amount * share)[..., None]  # [(B,) C, K, 3]
            if way.kind == "turn":
                rotation = rotation @ rotvec_to_matrix(vector.expand(*rotation.shape[:-1])).mT
            else:
                moved = torch.einsum("bckij,bckj->bcki", rotation, vector.expand(*rotation.shape[:-1]))
                shift = shift - self.pixel_size * moved[..., : shift.shape[-1]]
        return States(rotation, shift, z, torch.zeros_like(stretch)), stretch

    def _shifted(self, a: Float[Tensor, "c k q n"], by: Float[Tensor, "c k 3"]) -> Float[Tensor, "c k q n"]:
        """Of volumes moved by so many pixels."""
        generator = torch.einsum("ckx,xnm->cknm", by, self._gradient.to(a))
        return a @ torch.linalg.matrix_exp(generator).mT

    @cached_property
    def _gradient(self) -> Float[Tensor, "3 n n"]:
        """exp(-2πi k·τ) as exp(τ·G): -2πi k among the functions of k, antisymmetric; by quadrature over their ball."""
        last = len(self.expansion.families) - 1
        radius, radial = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(_RADII))
        radius, radial = (radius + 1) / 2, radial / 2
        height, polar = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(last + 2))
        angles = 2 * math.pi * torch.arange(2 * last + 4, dtype=torch.float64) / (2 * last + 4)
        across = (1 - height.square()).sqrt()[:, None]
        around = torch.stack(torch.broadcast_tensors(across * angles.cos(), across * angles.sin(), height[:, None]), -1)
        generator = radius.new_zeros(3, self.expansion.size, self.expansion.size)
        half = self.expansion.even
        for r, weight in zip(radius, radial * radius.square(), strict=True):
            k = self.expansion.largest * r * around.flatten(0, 1)
            design = self.expansion.design(k)
            measure = (weight * polar * 2 * math.pi / len(angles))[:, None].expand(-1, len(angles)).flatten()
            block = torch.einsum("p,px,pn,pm->xnm", 2 * math.pi * measure, k, design[:, :half], design[:, half:])
            generator[:, :half, half:] += block
        return generator - generator.mT

    @cached_property
    def _nodes(self) -> tuple[Float[Tensor, "g d"], Float[Tensor, " g"]]:
        """Places of z and their weights, for products of functions of z."""
        basis = self.conformations
        if basis.domain == "circle":
            count = 4 * basis.degree + 8
            angle = 2 * math.pi * torch.arange(count, dtype=torch.float64) / count
            return torch.stack([angle.cos(), angle.sin()], 1), torch.full((count,), 1 / count, dtype=torch.float64)
        one, weight = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(basis.degree + 3))
        places = torch.cartesian_prod(*[one] * basis.z_dim).reshape(-1, basis.z_dim)
        return places, torch.cartesian_prod(*[weight / 2] * basis.z_dim).reshape(len(places), -1).prod(1)

    @cached_property
    def _times_z(self) -> Float[Tensor, "d q q"]:
        """Multiplication by each coordinate of z among the functions of z."""
        z, weight = self._nodes
        values = self.conformations.values(z)
        return torch.einsum("g,gd,gq,gr->dqr", weight, z, values, values)

    @cached_property
    def _spreading(self) -> dict[Way, Float[Tensor, "q q"]]:
        """How functions of z change along each flow of z, among themselves."""
        z, weight = self._nodes
        found = {}
        for way in (one for one in self.ways if one.kind == "spread"):
            steps = torch.tensor([[_STEP, -_STEP]], dtype=torch.float64)
            there, _ = _flowed(z[:, None, None].expand(-1, 1, 2, -1), way, self.conformations.domain, steps)
            ahead, behind = self.conformations.values(there)[:, 0].unbind(1)
            slope = (ahead - behind) / (2 * _STEP)
            found[way] = torch.einsum("g,gq,gr->qr", weight, self.conformations.values(z), slope)
        return found


def _flowed(z: Float[Tensor, "b c k d"], way: Way, domain: str, time: Float[Tensor, "c k"]) -> tuple[Tensor, Tensor]:
    """z after a time, and the log of the slope. Of a segment: dz/dt = 1 - z², or z (1 - z²); of the circle: dθ/dt = 1,
    sin θ, or cos θ."""
    if domain == "circle":
        return _flowed_circle(z, way.flow, time)
    one = z[..., way.coordinate]
    if way.flow == 0:
        rise = torch.tanh(time)
        after = (one + rise) / (1 + one * rise)
        slope = torch.log1p(-rise.square()) - 2 * torch.log1p(one * rise)
    else:
        grown = torch.expm1(2 * time)
        under = 1 + one.square() * grown
        after, slope = one * time.exp() / under.sqrt(), time - 1.5 * under.log()
    others = torch.arange(z.shape[-1], device=z.device) != way.coordinate
    return torch.where(others, z, after.clamp(-1, 1)[..., None]), slope


def _flowed_circle(z: Tensor, flow: int, time: Tensor) -> tuple[Tensor, Tensor]:
    angle = torch.atan2(z[..., 1], z[..., 0])
    if flow == 0:
        after, slope = angle + time, torch.zeros_like(angle)
    else:
        from_pole = angle + (0 if flow == 1 else math.pi / 2)
        sine, cosine = torch.sin(from_pole / 2), torch.cos(from_pole / 2)
        after = 2 * torch.atan2(time.exp() * sine, cosine) - (from_pole - angle)
        slope = time - torch.log(cosine.square() + (2 * time).exp() * sine.square())
    return torch.stack([after.cos(), after.sin()], -1), slope


def places(lengths: Float[Tensor, " c"], generator: torch.Generator, tries: int = TRIES) -> Float[Tensor, "c k"]:
    """0, the present point, and ``tries`` others, normal about a centre about which 0 is normal."""
    noise = torch.randn(len(lengths), tries + 1, generator=generator, dtype=torch.float64).to(lengths)
    others = lengths[:, None] * (noise[:, :1] + noise[:, 1:])
    return torch.cat([torch.zeros_like(others[:, :1]), others], 1)


def directions(chains: int, generator: torch.Generator) -> Float[Tensor, "c 3"]:
    """Even over the sphere."""
    return torch.nn.functional.normalize(torch.randn(chains, 3, generator=generator, dtype=torch.float64), dim=1)


def chosen(log_density: Float[Tensor, "c k"], generator: torch.Generator) -> Tensor:
    """One place of each chain, in proportion to the density."""
    even = torch.rand(log_density.shape, generator=generator, dtype=torch.float64).to(log_density)
    return (log_density - torch.log(-torch.log(even))).argmax(1)


def tuned_together(lengths: Tensor, moved: Tensor, visits: int) -> Tensor:
    """Lengths after one more choice; ``moved``: whether another place was chosen (Robbins & Monro 1951)."""
    return lengths * torch.exp(1.5 / (1 + visits) ** 0.5 * (moved.to(lengths) - GOAL))
