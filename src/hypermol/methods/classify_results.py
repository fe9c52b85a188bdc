"""What ``classify`` leaves: the class of each particle, a map and half maps of each class, and z.

z are the principal coordinates of the class maps: the mean of all maps is their origin, maps that are alike lie near
each other, and the z of a particle is its mean over the particle's class posterior. The linear family
mean + Σ z_j U_j gives each class's own map at the z of that class.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.engine import State
from hypermol.methods.method import Results
from hypermol.metrics import resolution
from hypermol.reconstruction import masked_within_gain
from hypermol.specs import BuildContext

FAINTEST_GAIN = 0.04
APART = "FSC at 0.143 between two models, each fitted to one half set alone; no mask"
NOTHING = 1e-6  # share of the variance of class maps below which a direction is none


@dataclasses.dataclass(frozen=True, eq=False)
class Coordinates:
    """K classes as points [K, d] of mean 0 and covariance 1 under their populations; ``directions`` [d, D, D, D]
    orthogonal and ordered by power, so that ``mean`` + points · directions are the class maps."""

    mean: Tensor
    points: Tensor
    directions: Tensor

    @staticmethod
    def of(maps: Tensor, weights: Tensor) -> Coordinates:
        """maps [K, D, D, D], weights [K] that sum to 1. d = K - 1, or fewer where classes are alike."""
        shares = weights.to(maps)
        mean = torch.tensordot(shares, maps, 1)
        steps = (maps - mean).flatten(1)
        root = shares.sqrt()[:, None]
        values, vectors = torch.linalg.eigh(((root * steps) @ (root * steps).T).double())
        kept = [int(j) for j in torch.nonzero(values > NOTHING * values.sum())[:, 0].flip(0)]
        points = (vectors[:, kept] / root.double()).to(maps)
        leading = points.gather(0, points.abs().argmax(0, keepdim=True))
        points = points * leading.sign()
        return Coordinates(mean, points, (points.T * shares @ steps).unflatten(-1, maps.shape[1:]))


def results(state: State, context: BuildContext, how: str = APART) -> Results:
    """Estimates: class, class_probability, z and its covariance (more than one class), contrast, log_likelihood. Maps:
    consensus, class-1 … with half maps, half1 and half2 of the consensus, mask. FSC between the halves' models; ``how``
    they came about."""
    own = {name: tensor.cpu() for name, tensor in state.tensors.items()}
    maps, weights = final_maps(state).cpu(), own["joint_weights"]
    names = ("class_probability", "contrast", "log_likelihood")
    estimates = {name: state.table[name].cpu().numpy() for name in names if name in state.table}
    probability = estimates["class_probability"]
    estimates["class"] = probability.argmax(1).astype(np.int64)
    if len(maps) > 1:
        estimates |= _coordinates_of(probability, Coordinates.of(maps, weights).points)
    named = {"consensus": torch.tensordot(weights.to(maps), maps, 1), "mask": own["mask"]}
    halves = own["common"] + own["difference"]
    named |= {f"half{h + 1}": torch.tensordot(own["weights"][h].to(maps), halves[h], 1) for h in range(2)}
    curves: dict[str, np.ndarray] = {}
    metrics: dict[str, dict[str, Any]] = {}
    for c, map_ in enumerate(maps):
        label = f"class-{c + 1}"
        named |= {label: map_, f"{label}-half1": halves[0, c], f"{label}-half2": halves[1, c]}
        curves[f"fsc_{label}"] = own["fsc"][c].numpy().astype(np.float32)
        metrics |= _figures(label, own["fsc"][c], float(weights[c]), context.pixel_size, how)
    return Results(estimates, named, metrics, curves, notes=_verdict(len(maps), state.data))


def final_maps(state: State) -> Tensor:
    """Maps [K, D, D, D] of all images. The mask belongs before the radial filter: noise at its edge would leak from
    strong shells into damped ones."""
    own = state.tensors
    common = masked_within_gain(own["joint_common"], own["gain_common"], own["support"], FAINTEST_GAIN)
    pairs = zip(own["joint_difference"], own["gain_difference"], strict=True)
    return common + torch.stack([masked_within_gain(step, gain, own["mask"], FAINTEST_GAIN) for step, gain in pairs])


def decoder(state: State) -> Callable[[Tensor | None], Tensor]:
    """z [n, d] → maps [n, D, D, D]; None: the mean of all."""
    found = Coordinates.of(final_maps(state), state.tensors["joint_weights"])

    def decode(z: Tensor | None = None) -> Tensor:
        if z is None:
            return found.mean[None]
        return found.mean + torch.tensordot(z.to(found.mean), found.directions, 1)

    return decode


def _coordinates_of(probability: np.ndarray, points: Tensor) -> dict[str, np.ndarray]:
    """Mean and covariance of the classes' points over each particle's posterior."""
    place = points.double().numpy()
    mean = probability @ place
    second = np.einsum("nk,kd,ke->nde", probability, place, place)
    covariance = second - mean[:, :, None] * mean[:, None]
    return {"z": mean.astype(np.float32), "z_covariance": covariance.astype(np.float32)}


def _figures(label: str, curve: Tensor, share: float, pixel_size: float, how: str) -> dict[str, dict[str, Any]]:
    population = {"value": 100 * share, "unit": "%", "how": "mean of the class posterior over all particles"}
    return {
        f"resolution_{label}": {"value": resolution(curve, pixel_size), "unit": "Å", "how": how},
        f"population_{label}": population,
    }


def _verdict(kept: int, data: dict[str, Any]) -> tuple[str, ...]:
    again, merged = data["reseeded"][0], data.get("merged", 0)
    notes: tuple[str, ...] = ()
    if again:
        notes = (f"{again} times a class was left almost empty and was begun anew",)
    if merged:
        notes += (f"{merged} pairs of classes that the images of the other half do not tell apart were made one",)
    if data["emptied"]:
        notes += (f"{data['emptied']} classes held next to no particles in the end and were left out",)
    if "held_out" not in data:
        return (f"{kept} class{'es' if kept > 1 else ''}, as asked for", *notes)
    if kept == 1:
        return ("no classes found: more than one does not raise the likelihood of images not fitted to", *notes)
    return (f"{kept} classes: more do not raise the likelihood of images that they were not fitted to", *notes)
