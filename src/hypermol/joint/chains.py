"""A sweep of the chains of a batch: which moves, in which order, and how their lengths are tuned while burning in."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from hypermol.joint.hamiltonian import Hamiltonian
from hypermol.joint.metropolis import Metropolis
from hypermol.joint.states import Prior, States
from hypermol.shapes import Float
from hypermol.specs import Count, Dimension, register

KINDS = ("turn", "shift", "z", "trajectory")
GOALS = (0.35, 0.4, 0.44, 0.7)
"""Shares of accepted moves at which chains of 3, 2, 1 and all dimensions are most efficient (Roberts, Gelman & Gilks
1997; Beskos et al. 2013), in the order of KINDS."""
FIRST = (0.15, 0.15, 0.3, 0.3)
"""Lengths that tuning begins with: radians, deviations of the shift's prior, z, and ε."""
LONGEST = (1.5, 3.0, 1.0, 2.0)
ROWS = ("rotation", "shift", "z", "log_likelihood")


@register("joint", "mcmc")
@dataclasses.dataclass(frozen=True)
class MarkovChains:
    """Moves of pose and z in one sweep. Lengths [B, C, 4] of the kinds of local moves are kept by the caller."""

    kernel: Annotated[
        Literal["metropolis", "hmc"], "metropolis: steps of each by itself; hmc: trajectories of all together as well"
    ] = "metropolis"
    chains: Annotated[Count, "independent chains, which are compared with each other"] = 2
    moves: Annotated[Count, "of each kind in a sweep"] = 4
    far_z: Annotated[Dimension, "independent values of z that compete with the present one"] = 32
    jumps: Annotated[Dimension, "independent rotations that compete with the present one, in sweeps that jump"] = 64
    jump_every: Annotated[Count, "sweeps from one that jumps to the next"] = 5
    leapfrog: Annotated[Count, "steps of a trajectory"] = 6

    words = "Markov chains over pose and z"

    def sweep(
        self, kernel: Metropolis, at: States, lengths: Float[Tensor, "b c 4"], number: int
    ) -> tuple[States, Float[Tensor, "b c 4"]]:
        """All moves of sweep ``number``; the share of the local ones accepted, by kind. Differently numbered sweeps of
        one kernel draw the same: give each its own draws."""
        shares = torch.zeros_like(lengths)
        turn, shift, bend, trajectory = lengths.unbind(-1)
        at = kernel.flip("flip", at)
        if self.jumps and number % self.jump_every == 0:
            at = kernel.jump("jump", at, self.jumps)
        rounds = self.moves if self.kernel == "metropolis" else 1
        for move in range(rounds):
            at, turned = kernel.turn(f"turn {move}", at, turn)
            at, shifted = kernel.shift(f"shift {move}", at, shift)
            bent = torch.zeros_like(turned)
            if kernel.prior.freedom:
                at, bent = kernel.bend(f"bend {move}", at, bend, self.far_z)
            shares[..., :3] += torch.stack([turned, shifted, bent], -1) / rounds
        if self.kernel == "hmc":
            hamiltonian = Hamiltonian(kernel, self.leapfrog)
            for move in range(self.moves):
                at, moved = hamiltonian.move(f"trajectory {move}", at, lengths[..., :3], trajectory)
                shares[..., 3] += moved / self.moves
        return at, shares


def first_lengths(like: Tensor, prior: Prior) -> Float[Tensor, "b c 4"]:
    """Where tuning begins, for each of ``like`` [B, C, …]."""
    return (like.new_tensor(FIRST) * _units(like, prior)).expand(*like.shape[:2], -1).clone()


def tuned(lengths: Float[Tensor, "b c 4"], shares: Tensor, number: int, prior: Prior) -> Float[Tensor, "b c 4"]:
    """Lengths after sweep ``number`` of the burn-in: longer where more was accepted than is best (Robbins & Monro
    1951); never afterwards, when chains must not look back."""
    step = 1.5 / (1 + number) ** 0.5
    longer = lengths * torch.exp(step * (shares - shares.new_tensor(GOALS)))
    return torch.minimum(longer, lengths.new_tensor(LONGEST) * _units(lengths, prior))


def _units(like: Tensor, prior: Prior) -> Tensor:
    return like.new_tensor([1.0, prior.shift_spread, 1.0, 1.0])


def from_rows(rows: dict[str, Tensor]) -> States:
    """States of chains as the particle table holds them."""
    return States(*(rows[name] for name in ROWS))


def to_rows(at: States) -> dict[str, Any]:
    """Inverse of ``from_rows``."""
    return {name: getattr(at, name) for name in ROWS}
