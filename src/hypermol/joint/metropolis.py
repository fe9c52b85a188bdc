"""Markov chains over pose and z: Metropolis steps near by, exact draws among candidates far away.

Each move leaves p(pose, z | images, volume)^β × prior invariant, β being an inverse temperature (1: the posterior).
Local steps are symmetric: R → exp([ω]×) R with ω normal, τ → τ + normal, z → z + normal reflected at its ends
(Metropolis et al. 1953). Jumps draw among the present state and others in proportion to the target: independent draws
from the prior (Tjelmeland 2004; Andrieu, Doucet & Holenstein 2010, iterated sampling importance resampling), or the
orbit of a group of turns (half turns in the plane and to the view from behind).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from hypermol.imaging import quaternion_to_matrix, rotvec_to_matrix
from hypermol.joint.states import Prior, States
from hypermol.joint.targets import Target
from hypermol.shapes import Float

HALF_TURNS = ((1.0, 1.0, 1.0), (-1.0, -1.0, 1.0), (1.0, -1.0, -1.0), (-1.0, 1.0, -1.0))
"""Diagonals of the identity, the in-plane half turn, and the two half turns that show the view from behind."""


@dataclasses.dataclass(frozen=True)
class Metropolis:
    """One batch's kernel: its target, the prior, its draws (``engine.Draws``: the same name gives the same numbers),
    and β."""

    target: Target
    prior: Prior
    draws: Any
    beta: float = 1.0

    def accept(self, name: str, old: States, new: States) -> tuple[States, Float[Tensor, "b c"]]:
        """Metropolis's rule for a symmetric proposal; new's log_likelihood is that of its place. 1 where accepted."""
        chance = self.draws.uniform(f"{name}, chance", old.z.shape[1], dtype=torch.float64).log()
        gain = self.beta * (new.log_likelihood - old.log_likelihood)
        taken = chance < gain + self.prior.log_density(new) - self.prior.log_density(old)
        return new.where(taken, old), taken.double()

    def turn(self, name: str, at: States, length: Float[Tensor, "b c"]) -> tuple[States, Tensor]:
        """A small turn in any direction; ``length``: deviation of each component, radians."""
        step = length[..., None] * self._normal(name, at, 3)
        return self._local(name, dataclasses.replace(at, rotation=rotvec_to_matrix(step) @ at.rotation), at)

    def shift(self, name: str, at: States, length: Float[Tensor, "b c"]) -> tuple[States, Tensor]:
        """A small shift; ``length``: deviation of each component, Å."""
        step = length[..., None] * self._normal(name, at, at.shift.shape[-1])
        return self._local(name, dataclasses.replace(at, shift=at.shift + step), at)

    def bend(self, name: str, at: States, length: Float[Tensor, "b c"], far: int) -> tuple[States, Tensor]:
        """A draw of z among ``far`` independent ones, then a small step of z; both under one look at the images."""
        value = self.target.of_conformation(at.rotation, at.shift)
        if far:
            uniform = self.draws.uniform(f"{name}, far", at.z.shape[1], far, self.prior.freedom, dtype=torch.float64)
            z = torch.cat([at.z[:, :, None], self.prior.z_of(uniform)], 2)
            at = self.choose(f"{name}, far", _candidates(at, z=z, log_likelihood=value(z)))
        step = length[..., None] * self._normal(name, at, self.prior.freedom)
        z = self.prior.moved(at.z, step)
        new = dataclasses.replace(at, z=z, log_likelihood=value(z[:, :, None])[:, :, 0])
        return self.accept(name, at, new)

    def jump(self, name: str, at: States, count: int) -> States:
        """A draw among the present rotation and ``count`` independent ones, at the present shift and z."""
        quaternion = self.draws.normal(f"{name}, far", at.z.shape[1], count, 4, dtype=torch.float64)
        rotation = torch.cat([at.rotation[:, :, None], quaternion_to_matrix(quaternion)], 2)
        return self._far(name, at, rotation)

    def flip(self, name: str, at: States) -> States:
        """A draw among the four half turns of the present rotation (a group: the choice is reversible)."""
        turns = torch.diag_embed(at.rotation.new_tensor(HALF_TURNS))
        return self._far(name, at, turns @ at.rotation[:, :, None])

    def choose(self, name: str, candidates: States) -> States:
        """One of K candidates [B, C, K] in proportion to the target (by Gumbel's trick)."""
        value = self.beta * candidates.log_likelihood + self.prior.log_density(candidates)
        chance = self.draws.uniform(f"{name}, choice", *value.shape[1:], dtype=torch.float64)
        return candidates.taken((value - torch.log(-torch.log(chance))).argmax(-1))

    def _local(self, name: str, new: States, at: States) -> tuple[States, Tensor]:
        value = self.target.log_likelihood(new.rotation[:, :, None], new.shift[:, :, None], new.z[:, :, None])[:, :, 0]
        return self.accept(name, at, dataclasses.replace(new, log_likelihood=value))

    def _far(self, name: str, at: States, rotation: Tensor) -> States:
        whole = _candidates(at, rotation=rotation)
        value = self.target.log_likelihood(whole.rotation, whole.shift, whole.z)
        return self.choose(name, dataclasses.replace(whole, log_likelihood=value))

    def _normal(self, name: str, at: States, size: int) -> Tensor:
        return self.draws.normal(f"{name}, step", at.z.shape[1], size, dtype=torch.float64)


def _candidates(at: States, **known: Tensor) -> States:
    """The present states on an axis of candidates, as many as ``known`` fields have, with those fields."""
    count = next(iter(known.values())).shape[2]

    def spread(value: Tensor) -> Tensor:
        return value[:, :, None].expand(*value.shape[:2], count, *value.shape[2:])

    fields = {field.name: spread(getattr(at, field.name)) for field in dataclasses.fields(at)}
    return States(**{**fields, **known})
