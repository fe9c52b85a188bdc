"""What methods with a mean and principal volumes leave, however they were found: estimates, maps, figures, a decoder.

Their final state holds joint [C, D, D, D] (the mean, then the components), half_means [2, D, D, D], fsc [C, S] between
the models of the half sets, mask, and the estimates as its table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.conformations import GaussianPosterior, learned_posteriors
from hypermol.engine import Contribution, State
from hypermol.methods.method import Results
from hypermol.metrics import resolution

ESTIMATES = ("z", "z_covariance", "z_normal", "z_normal_covariance", "class_probability", "contrast", "log_likelihood")
SEEN = 0.143
NO_MOTION = (
    "no motion found: not one component raises the likelihood of images that it was not fitted to; the consensus map "
    "says all that there is to say"
)
CONFIRMED = "each raises the likelihood of images that it was not fitted to"


def estimated(found: GaussianPosterior, contrast: bool) -> Contribution:
    """What each particle is, as rows of the table; totals: "power of z", Σ E[z²] of each component."""
    rows = {"log_likelihood": found.log_evidence.float()}
    if found.mean.shape[1]:
        rows |= {"z": found.mean.float(), "z_covariance": found.covariance.float()}
    if contrast:
        rows["contrast"] = found.contrast.float()
    power = found.mean.square().sum(0) + found.covariance.diagonal(dim1=-2, dim2=-1).sum(0)
    return Contribution({"power of z": power}, rows, {"nll": -found.log_evidence.sum()})


def in_unit_variance(
    joint: Tensor, table: dict[str, Tensor], power: Tensor, states: bool = False
) -> tuple[Tensor, dict[str, Tensor]]:
    """joint and table in units in which E[z²] = 1, as stated, and under the distribution that all particles show: what
    damping has taken from the components is taken from the unit of z as well. ``power``: Σ E[z²]; ``states``: whether
    separate states are looked for."""
    if "z" not in table:
        return joint, table
    unit, joint = unit_of(power, table).to(joint), joint.clone()
    joint[1:] *= unit[:, None, None, None]
    mean, covariance = table["z"] / unit, table["z_covariance"] / torch.outer(unit, unit)
    return joint, table | learned_posteriors(mean, covariance, states)


def unit_of(power: Tensor, table: dict[str, Tensor]) -> Tensor:
    """√E[z²] [K], by which z is divided in the end; ``power``: Σ E[z²]."""
    return (power / len(next(iter(table.values())))).sqrt().clamp(min=1e-6)


def results(state: State, pixel_size: float, how: str, notes: Sequence[str]) -> Results:
    """Estimates; maps: consensus = μ, component-1 …, half1 and half2, mask; FSC between the halves' models, and where
    it falls (``how``: its words)."""
    estimates = {name: state.table[name].cpu().numpy() for name in ESTIMATES if name in state.table}
    joint, halves, curves = (state.tensors[name].cpu() for name in ("joint", "half_means", "fsc"))
    labels = ["consensus", *(f"component-{c}" for c in range(1, len(joint)))]
    maps = dict(zip(labels, joint, strict=True)) | {"mask": state.tensors["mask"].cpu()}
    maps |= {f"half{h + 1}": halves[h] for h in range(2)}
    figures: dict[str, dict[str, Any]] = {
        f"resolution_{label}": {"value": resolution(once_seen(curve), pixel_size), "unit": "Å", "how": how}
        for label, curve in zip(labels, curves, strict=True)
    }
    named = {f"fsc_{label}": curve.numpy().astype(np.float32) for label, curve in zip(labels, curves, strict=True)}
    return Results(estimates, maps, figures, named, notes=tuple(notes))


def said_of_states(probability: Tensor) -> str:
    """The states and their populations, given each particle's probabilities [N, K]."""
    shares = ", ".join(f"{100 * share:.1f}" for share in probability.double().mean(0).tolist())
    return (
        f"{probability.shape[1]} separate states ({shares} % of the particles), few particles between them; the map of "
        "a state is made from its own images"
    )


def decoder(state: State) -> Callable[[Tensor | None], Tensor]:
    """z [n, K] → μ + Σ z_c U_c; None: μ."""
    joint = state.tensors["joint"]

    def decode(z: Tensor | None = None) -> Tensor:
        return joint[:1] if z is None else joint[0] + torch.tensordot(z.to(joint), joint[1:], 1)

    return decode


def once_seen(curve: Tensor) -> Tensor:
    """An FSC from where it first exceeds 0.143: a component may have next to nothing in its lowest shells."""
    unseen = (curve[1:] > SEEN).int().cumsum(0) == 0  # shell 0 is the mean density alone
    if bool(unseen.all()):
        return curve
    return torch.cat([curve[:1], torch.where(unseen, torch.ones_like(curve[1:]), curve[1:])])
