"""Hamiltonian Monte Carlo over pose and z together, along geodesics of the rotations.

Duane et al. 1987; Neal 2011. Positions are R ∈ SO(3), τ, and a free coordinate of z; a momentum p of unit mass moves
them by R → exp([ε s p]×) R, and so on, with s the scale of each. Momenta of a rotation live in the tangent space at the
identity of its left translations, whose metric is bi-invariant: straight lines there are geodesics, so that the
leapfrog steps are reversible and keep volumes.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from hypermol.imaging import rotvec_to_matrix
from hypermol.joint.metropolis import Metropolis
from hypermol.joint.states import Prior, States
from hypermol.shapes import Float

_JITTER = 0.2


@dataclasses.dataclass(frozen=True)
class Hamiltonian:
    """Trajectories of ``steps`` leapfrog steps under a kernel's target and prior."""

    kernel: Metropolis
    steps: int = 6

    def move(
        self, name: str, at: States, scales: Float[Tensor, "b c 3"], length: Float[Tensor, "b c"]
    ) -> tuple[States, Tensor]:
        """One trajectory and Metropolis's rule. ``scales``: of a turn (radians), a shift (Å) and the free coordinate of
        z; ``length``: ε of each particle, varied by up to 20 % at random so that no orbit closes. 1 where accepted."""
        draws, chains = self.kernel.draws, at.z.shape[1]
        parts = (3, at.shift.shape[-1], self.kernel.prior.freedom)
        momentum = draws.normal(f"{name}, momentum", chains, sum(parts), dtype=torch.float64)
        jitter = 1 + _JITTER * (2 * draws.uniform(f"{name}, jitter", chains, dtype=torch.float64) - 1)
        step = (length * jitter)[..., None]
        scale = torch.repeat_interleave(scales, torch.tensor(parts, device=scales.device), -1)
        new, _, gain = self.trajectory(at, momentum, step, scale)
        taken = draws.uniform(f"{name}, chance", chains, dtype=torch.float64).log() < gain
        return new.where(taken, at), taken.double()

    def trajectory(
        self, at: States, momentum: Float[Tensor, "b c f"], step: Float[Tensor, "b c 1"], scale: Float[Tensor, "b c f"]
    ) -> tuple[States, Tensor, Tensor]:
        """Where it ends, the momentum there [B, C, F], and how much energy was lost on the way [B, C]."""
        here, value, gradient = self._slope(at, scale)
        before = value - 0.5 * momentum.square().sum(-1)
        for _ in range(self.steps):
            momentum = momentum + 0.5 * step * gradient
            here, value, gradient = self._slope(_moved(here, step * scale * momentum, self.kernel.prior), scale)
            momentum = momentum + 0.5 * step * gradient
        return here, momentum, value - 0.5 * momentum.square().sum(-1) - before

    def _slope(self, at: States, scale: Tensor) -> tuple[States, Tensor, Tensor]:
        """The state with its likelihood, its log-density in the free coordinates, and the slope of that along the
        scaled directions."""
        kernel = self.kernel
        with torch.enable_grad():
            way = torch.zeros_like(scale).requires_grad_()
            new = _moved(at, scale * way, kernel.prior)
            likely = kernel.target.log_likelihood(*(part[:, :, None] for part in (new.rotation, new.shift, new.z)))
            value = kernel.beta * likely[:, :, 0] + kernel.prior.log_density(new) + kernel.prior.stretch(new.z)
            (slope,) = torch.autograd.grad(value.sum(), way)
        return dataclasses.replace(at, log_likelihood=likely[:, :, 0].detach()), value.detach(), slope


def _moved(at: States, way: Tensor, prior: Prior) -> States:
    shifts = at.shift.shape[-1]
    turn, shift, bend = way[..., :3], way[..., 3 : 3 + shifts], way[..., 3 + shifts :]
    z = prior.walked(at.z, bend) if bend.shape[-1] else at.z
    return States(rotvec_to_matrix(turn) @ at.rotation, at.shift + shift, z, at.log_likelihood)
