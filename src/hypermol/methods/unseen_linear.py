"""Unseen particles under a mean and principal volumes: z in closed form, at given poses or at poses searched for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.conformations import EmpiricalPrior, crossed_means
from hypermol.engine import Contribution, Draws, State, Step
from hypermol.methods.field_search import k_means
from hypermol.methods.ppca_abinitio_steps import Steps as PosedSteps
from hypermol.methods.ppca_steps import Steps
from hypermol.methods.principal_volumes import estimated
from hypermol.methods.unseen import LinearVolume, Look, Unseen, need_z
from hypermol.specs import BuildContext

SEED = 0


def unseen_linear(settings: Any, state: State, context: BuildContext, known: Mapping[str, np.ndarray]) -> Unseen:
    """For ``ppca`` and ``covariance``, whose settings are called the same."""
    return _unseen(Step(_Posterior(Steps(settings, context), settings.contrast)).contribute, state, known)


def unseen_posed(settings: Any, state: State, context: BuildContext, known: Mapping[str, np.ndarray]) -> Unseen:
    """For ``ppca-abinitio``: the best pose, z integrated out, of those likely under some of the run's conformations."""
    steps, joint = PosedSteps(settings, context), state.tensors["joint"]
    places = joint.new_zeros(1, 0)
    if len(joint) > 1:
        own = need_z(known, settings.name).astype(np.float32)
        places = torch.from_numpy(k_means(own, settings.conformations, SEED)).to(joint) * _unit(state)
    posterior = Step(_Posterior(steps.volumes, settings.volumes.contrast))
    found = steps.searched(steps.climbed(posterior)).contribute

    def contribute(state: State, batch: Any, draws: Draws) -> Contribution:
        begin = torch.eye(3, device=batch.images.device).expand(batch.size, 3, 3)
        nowhere = dataclasses.replace(batch, rotation=begin, shift=begin.new_zeros(batch.size, batch.shift_dim))
        view = State({**state.tensors, "places": places}, {}, {**state.data, "posed": False})
        return found(view, nowhere, draws)

    return _unseen(contribute, state, known)


@dataclasses.dataclass(frozen=True)
class _Posterior:
    """z and contrast at the poses of a batch, as a method's last pass has them."""

    steps: Steps
    contrast: bool

    def __call__(self, state: State, batch: Any, draws: Draws) -> Contribution:
        images = self.steps.seen(state, batch)
        return estimated(self.steps.posterior(state, images, torch.zeros_like(images.half)), self.contrast)


def _unseen(contribute: Any, state: State, known: Mapping[str, np.ndarray]) -> Unseen:
    joint, unit = state.tensors["joint"], _unit(state)
    plain = torch.cat([joint[:1], joint[1:] / unit[:, None, None, None].to(joint)])
    prior, member = _prior(known)

    def look(state: State, batch: Any, draws: Draws) -> dict[str, Tensor]:
        view = State({**state.tensors, "joint": plain}, {}, state.data)
        rows = contribute(view, batch, draws).rows
        if prior is None or "z" not in rows:
            return rows
        mean, covariance = rows["z"] / unit, rows["z_covariance"] / torch.outer(unit, unit)
        rows |= prior.rows(mean, covariance)
        if member is not None:
            rows["class_probability"] = prior.shares_of(member, mean, covariance)
        return rows

    return Unseen(_floats(look), LinearVolume(joint))


def _floats(look: Look) -> Look:
    def found(state: State, batch: Any, draws: Draws) -> dict[str, Tensor]:
        return {name: row.float() for name, row in look(state, batch, draws).items()}

    return found


def _unit(state: State) -> Tensor:
    """By what z was divided at the end of the run; runs of before that was written down had it near 1."""
    joint = state.tensors["joint"]
    return state.tensors.get("unit", joint.new_ones(len(joint) - 1)).float()


def _prior(known: Mapping[str, np.ndarray]) -> tuple[EmpiricalPrior | None, Tensor | None]:
    """The distribution of z that the run's own particles show, and its separate states."""
    if "z_normal" not in known:
        return None, None
    normal = torch.from_numpy(known["z_normal"]), torch.from_numpy(known["z_normal_covariance"])
    prior = EmpiricalPrior.learned(*normal)
    states = "class_probability" in known
    return prior, prior.separate_states(crossed_means(*normal)) if states else None
