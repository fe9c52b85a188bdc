"""Classes that the other half's images do not tell apart become one.

Each pair of classes is compared with one class of their common map: identical classes, and those that differ by noise
alone, predict images that they were not fitted to no better than that, whatever else the model holds.
"""

from __future__ import annotations

import dataclasses
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from hypermol.conformations import class_evidence
from hypermol.engine import Contribution, Draws, State
from hypermol.kernels import volumes_to_grid
from hypermol.methods.classify_models import DEVIATIONS, LEAST
from hypermol.methods.kept import Kept
from hypermol.methods.particle_images import Images
from hypermol.metrics import fsc
from hypermol.specs import BuildContext


@dataclasses.dataclass
class Merging:
    """On a state with one model (``classify_steps``), one merger per pass. data: merged, how many there were; settled.

    ``settings``: a ``Classes``.
    """

    settings: Any
    context: BuildContext

    def __post_init__(self) -> None:
        self._kept = Kept()

    def pairs(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """How much two classes explain better than one, of images that neither was fitted to: for each pair the sum
        of the steps in log-likelihood, of their squares, and how many."""
        images = Images.of(batch.limit(state.data["band"]), self.settings.oversampling)
        held, weights = 1 - images.half, state.tensors["weights"].double()
        classes = weights.shape[1]
        power, overlap = images.separate(self._grids(state), held)
        joined = torch.stack([weights[:, list(pair)].sum(1) for pair in _pairs(classes)], 1) if classes > 1 else None
        prior = weights if joined is None else torch.cat([weights, joined], 1)
        evidence = class_evidence(power, overlap, float(state.tensors["contrast_variance"])) + prior[held].log()
        apart = torch.logsumexp(evidence[:, :classes], 1)
        steps = [apart - torch.logsumexp(evidence[:, places], 1) for places in _with_pair_joined(classes)]
        found = torch.stack(steps, 1) if steps else apart.new_zeros(len(apart), 0)
        totals = torch.stack([found.sum(0), found.square().sum(0), torch.full_like(found.sum(0), len(found))])
        return Contribution({"steps": totals}, info={"nll": -apart.sum()})

    def merged(self, state: State, totals: dict[str, Tensor]) -> State:
        """The pair that is told apart least becomes one class, unless even it is by ``DEVIATIONS`` standard errors; a
        class with next to no particles goes first."""
        total, squares, count = totals["steps"]
        mean = total / count
        error = ((squares / count - mean**2).clamp(min=0) / count).sqrt()
        held = state.tensors["weights"].mean(0)
        for place, pair in enumerate(_pairs(len(held))):
            if min(float(held[c]) for c in pair) < self.settings.smallest:
                mean[place] = -torch.inf  # next to nobody is in it: nothing can speak for it
        margin = mean - (DEVIATIONS * error).clamp(min=LEAST / float(count.max())) if len(mean) else mean
        if not bool((margin <= 0).any()):
            return State(state.tensors, data={**state.data, "settled": True})
        least = int(margin.argmin())
        tensors = _joined(state.tensors, *_pairs(state.data["models"][0])[least])
        data = {"models": [state.data["models"][0] - 1], "merged": state.data.get("merged", 0) + 1}
        return State({**state.tensors, **tensors}, data={**state.data, **data})

    @staticmethod
    def settled(state: State) -> bool:
        """Whether there is nothing left to merge."""
        return bool(state.data.get("settled", False)) or state.data["models"] == [1]

    def _grids(self, state: State) -> list[Tensor]:
        """Of each half: its classes, then the common map of each pair."""
        own = state.tensors

        def grids() -> list[Tensor]:
            maps = own["common"] * own["support"] + own["difference"] * own["mask"]
            channels = [torch.cat([half, *_common(half, share)]) for half, share in zip(maps, own["weights"])]
            return [volumes_to_grid(m, self.settings.oversampling) for m in channels]

        return self._kept.of(own["difference"], grids)


def _pairs(classes: int) -> list[tuple[int, int]]:
    return list(combinations(range(classes), 2))


def _with_pair_joined(classes: int) -> list[list[int]]:
    """For each pair the channels of the model in which it is one class."""
    pairs = _pairs(classes)
    return [[c for c in range(classes) if c not in pair] + [classes + p] for p, pair in enumerate(pairs)]


def _common(maps: Tensor, weights: Tensor) -> list[Tensor]:
    """The mean map [1, D, D, D] of each pair, by population."""
    return [_mean(maps, weights, *pair)[None] for pair in _pairs(len(maps))]


def _mean(maps: Tensor, weights: Tensor, a: int, b: int) -> Tensor:
    share = (weights[a] / (weights[a] + weights[b])).to(maps)
    return share * maps[a] + (1 - share) * maps[b]


def _joined(own: dict[str, Tensor], a: int, b: int) -> dict[str, Tensor]:
    """The state's tensors with class b in class a."""
    kept = [c for c in range(own["weights"].shape[1]) if c != b]
    difference, weights = own["difference"].clone(), own["weights"].clone()
    for half in range(2):
        difference[half, a] = _mean(own["difference"][half], own["weights"][half], a, b)
    weights[:, a] += weights[:, b]
    maps = own["common"] + difference
    curves = fsc(maps[0], maps[1])[kept]
    return {"difference": difference[:, kept].contiguous(), "weights": weights[:, kept].contiguous(), "fsc": curves}
