"""What methods with a mean and principal volumes leave, however they were found: estimates, maps, figures, a decoder.

Their final state holds joint [C, D, D, D] (the mean, then the components), half_means [2, D, D, D], fsc [C, S] between
the models of the half sets, mask, and the estimates as its table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.conformations import GaussianPosterior, learned_posteriors
from hypermol.engine import Contribution, State
from hypermol.methods.method import Results
from hypermol.methods.particle_images import Images
from hypermol.metrics import resolution
from hypermol.reconstruction import CURVED, LinearInsertion, LinearSums, bend_agreement, bend_insertion

ESTIMATES = ("z", "z_covariance", "z_normal", "z_normal_covariance", "class_probability", "contrast", "log_likelihood")
SEEN = 0.143
NO_MOTION = (
    "no motion found: not one component raises the likelihood of images that it was not fitted to; the consensus map "
    "says all that there is to say"
)
BEND_HOW = (
    "correlation between the half sets of the map that z² adds to one component; of separate states 0, above "
    f"{CURVED} the motion is a curve"
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


def bend_deposit(found: GaussianPosterior, images: Images) -> dict[str, LinearInsertion]:
    """Where one component follows the particles, what tells a curve from states: totals "bend"."""
    if found.mean.shape[1] != 1:
        return {}
    z, contrast = found.mean[:, 0], found.contrast
    return {"bend": bend_insertion(images.parts, z[images.owner], contrast[images.owner])}


def bend_of(totals: dict[str, Tensor], tensors: Mapping[str, Tensor], box: int, oversampling: int) -> float | None:
    """See ``bend_agreement``; ``box``: that of the images deposited. None unless there is one component."""
    if "bend" not in totals:
        return None
    halves = LinearSums.completed(totals["bend"], box, 3, oversampling)
    return bend_agreement(halves, tensors["joint"], tensors["mask"], tensors["fsc"][1])


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


def without_two_states(table: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of a curve: two groups in z are its ends. Three or more are states, for those bend one component as well."""
    two = "class_probability" in table and table["class_probability"].shape[1] == 2
    return {name: rows for name, rows in table.items() if not (two and name == "class_probability")}


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
    if state.data.get("bend") is not None:
        figures["bend"] = {"value": state.data["bend"], "unit": "", "how": BEND_HOW}
    named = {f"fsc_{label}": curve.numpy().astype(np.float32) for label, curve in zip(labels, curves, strict=True)}
    return Results(estimates, maps, figures, named, notes=tuple(notes))


def said_of_states(probability: Tensor) -> str:
    """The states and their populations, given each particle's probabilities [N, K]."""
    shares = ", ".join(f"{100 * share:.1f}" for share in probability.double().mean(0).tolist())
    return (
        f"{probability.shape[1]} separate states ({shares} % of the particles), few particles between them; the map of "
        "a state is made from its own images"
    )


def said_of_a_curve(bend: float) -> str:
    """Why one component is called a continuum, however z lies along it."""
    return (
        f"a continuum: maps in the middle of z are no mixtures of those at its ends (what z² adds agrees between the "
        f"half sets: {bend:.2f}; of separate states 0), so that z crowds where one component hardly changes; maps at a "
        "conformation are made from the images near it"
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
