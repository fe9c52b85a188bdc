"""Where chains are: a pose and a conformation of each particle in each of C chains; and the prior they answer to."""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from hypermol.posteriors import Hypotheses
from hypermol.shapes import Float
from hypermol.volumes.conformation_basis import Domain

_INSIDE = 1 - 1e-9


@dataclasses.dataclass(frozen=True, eq=False)
class States:
    """Hypotheses of B particles with any axes between (chains, candidates): rotation [B, …, 3, 3], shift [B, …, 2 or 3]
    (Å), z [B, …, d], log_likelihood [B, …] (up to a constant). float64."""

    rotation: Float[Tensor, "*b 3 3"]
    shift: Float[Tensor, "*b s"]
    z: Float[Tensor, "*b d"]
    log_likelihood: Float[Tensor, "*b"]

    def where(self, condition: Tensor, other: States) -> States:
        """These where the condition holds, others elsewhere."""
        chosen = [
            torch.where(condition.reshape(condition.shape + (1,) * (mine.ndim - condition.ndim)), mine, theirs)
            for mine, theirs in zip(_fields(self), _fields(other), strict=True)
        ]
        return States(*chosen)

    def taken(self, index: Tensor) -> States:
        """Of candidates on the axis after those of ``index`` [B, C], the one it names."""
        axis = index.ndim
        chosen = []
        for value in _fields(self):
            place = index.reshape(index.shape + (1,) * (value.ndim - axis)).expand(
                *index.shape, 1, *value.shape[axis + 1 :]
            )
            chosen.append(value.gather(axis, place).squeeze(axis))
        return States(*chosen)

    def hypotheses(self) -> Hypotheses:
        """The chains as equally weighted samples, H = C."""
        return Hypotheses(self.rotation, self.shift, self.z)


def _fields(states: States) -> tuple[Tensor, ...]:
    return states.rotation, states.shift, states.z, states.log_likelihood


@dataclasses.dataclass(frozen=True)
class Prior:
    """Rotations even over SO(3); each coordinate of the shift N(0, ``shift_spread``²), Å; z even over its domain.

    ``moved`` follows geodesics of the domain of z; ``stretch`` is the log of what a coordinate in which HMC may walk
    freely does to volumes.
    """

    shift_spread: float
    domain: Domain = "segment"
    z_dim: int = 1

    def log_density(self, states: States) -> Tensor:
        """Up to a constant: rotation and z are even."""
        return -0.5 * (states.shift / self.shift_spread).square().sum(-1)

    @property
    def freedom(self) -> int:
        """Degrees of freedom of z."""
        return 1 if self.domain == "circle" else self.z_dim

    def z_of(self, uniform: Float[Tensor, "*b f"]) -> Float[Tensor, "*b d"]:
        """z drawn from its prior, from numbers even in [0, 1)."""
        if self.domain == "segment":
            return 2 * uniform - 1
        angle = 2 * math.pi * uniform[..., 0]
        return torch.stack([angle.cos(), angle.sin()], -1)

    def moved(self, z: Float[Tensor, "*b d"], step: Float[Tensor, "*b f"]) -> Float[Tensor, "*b d"]:
        """z after a step, reflected at the ends of a segment (a symmetric proposal), or along the circle."""
        if self.domain == "circle":
            return _along_circle(z, step)
        folded = torch.remainder(z + step + 1, 4)
        return 1 - (folded - 2).abs()

    def walked(self, z: Float[Tensor, "*b d"], step: Float[Tensor, "*b f"]) -> Float[Tensor, "*b d"]:
        """z after a step of the free coordinate: atanh z of a segment, the angle of a circle."""
        if self.domain == "circle":
            return _along_circle(z, step)
        return torch.tanh(torch.atanh(z.clamp(-_INSIDE, _INSIDE)) + step)

    def stretch(self, z: Float[Tensor, "*b d"]) -> Tensor:
        """log |dz / d(free coordinate)|."""
        if self.domain == "circle":
            return z.new_zeros(z.shape[:-1])
        return torch.log1p(-z.clamp(-_INSIDE, _INSIDE).square()).sum(-1)


def _along_circle(z: Tensor, step: Tensor) -> Tensor:
    c, s = torch.cos(step[..., 0]), torch.sin(step[..., 0])
    x, y = z.unbind(-1)
    return torch.stack([c * x - s * y, s * x + c * y], -1)
