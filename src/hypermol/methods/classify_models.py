"""Models with different numbers of classes side by side: their channels, their classes, and which of them to keep."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import torch
from torch import Tensor

from hypermol.conformations import class_posterior
from hypermol.engine import State

DEVIATIONS = 3.0  # by how many standard errors more classes must raise the held-out log-likelihood
LEAST = 3.0  # and by how much in all: rounding has next to no standard error


@dataclasses.dataclass(frozen=True, eq=False)
class Inferred:
    """Of M models with C classes in all: probability, contrast and its variance [B, C]; log_evidence [B, M]."""

    probability: Tensor
    contrast: Tensor
    contrast_variance: Tensor
    log_evidence: Tensor


def inferred(
    power: Tensor, overlap: Tensor, weights: Tensor, models: list[tuple[int, int]], contrast_variance: float
) -> Inferred:
    """The posterior of each model by itself; power, overlap and ``weights`` [B, C] of all."""
    posteriors = []
    for start, stop in models:
        own = slice(start, stop)
        posteriors.append(class_posterior(power[:, own], overlap[:, own], weights[:, own], contrast_variance))
    return Inferred(
        torch.cat([p.probability for p in posteriors], 1),
        torch.cat([p.contrast for p in posteriors], 1),
        torch.cat([p.contrast_variance for p in posteriors], 1),
        torch.stack([p.log_evidence for p in posteriors], 1),
    )


def segments(models: list[int]) -> list[tuple[int, int]]:
    """Where the classes of each model begin and end among the channels."""
    ends = torch.tensor(models).cumsum(0).tolist()
    return [(end - classes, end) for end, classes in zip(ends, models, strict=True)]


def of_models(values: Tensor, models: list[int]) -> Tensor:
    """[h, M, ...] repeated for each class: [h, C, ...]."""
    return values.repeat_interleave(torch.tensor(models, device=values.device), 1)


def matched(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """For each of the maps ``first`` [K, D, D, D] the one of ``second`` that it goes with: the best one-to-one pairing
    by overlap inside ``weight`` (Kuhn 1955)."""
    from scipy.optimize import linear_sum_assignment

    overlap = (first * weight).flatten(1).double() @ (second * weight).flatten(1).double().T
    _, columns = linear_sum_assignment(overlap.cpu().numpy(), maximize=True)
    return torch.from_numpy(columns).to(first.device)


def chosen(models: list[int], evidence: Tensor) -> tuple[dict[int, int], int, list[list[float]]]:
    """From log-likelihoods [N, M] of images that the models were not fitted to: the best model of each number of
    classes; the smallest number that no other surpasses by ``DEVIATIONS`` standard errors; and for each number what it
    adds to one class less, per particle, with its standard error: [classes, gain, error]."""
    mean = evidence.double().mean(0)
    best = {
        k: max((m for m, n in enumerate(models) if n == k), key=lambda m: float(mean[m])) for k in sorted({*models})
    }
    numbers = list(best)

    def gain(more: int, fewer: int) -> tuple[float, float]:
        steps = (evidence[:, best[more]] - evidence[:, best[fewer]]).double()
        return float(steps.mean()), float(steps.std() / len(steps) ** 0.5)

    def surpassed(classes: int) -> bool:
        gains = [gain(other, classes) for other in numbers if other != classes]
        return any(g > max(DEVIATIONS * e, LEAST / len(evidence)) for g, e in gains)

    kept = next(classes for classes in numbers if not surpassed(classes))
    rows = [[more, *gain(more, fewer)] for fewer, more in pairwise(numbers)]
    return best, kept, rows


def begun_anew(
    difference: Tensor, weights: Tensor, models: list[tuple[int, int]], smallest: float, drawn: torch.Generator
) -> list[int]:
    """Classes with a share below ``smallest`` are put half way between the largest of their model and another one, in
    place: difference [2, C, D, D, D], weights [2, C]; returns how many there were in each model."""
    counts = [0] * len(models)
    for half in range(2):
        for model, (start, stop) in enumerate(models):
            own = weights[half, start:stop]
            for empty in torch.nonzero(own < min(smallest, 0.5 / len(own)))[:, 0].tolist():
                largest, other = int(own.argmax()), int(torch.randint(len(own), (1,), generator=drawn))
                difference[half, start + empty] = (
                    difference[half, start + largest] + difference[half, start + other]
                ) / 2
                own[empty] = own[largest] = (own[largest] + own[empty]) / 2
                counts[model] += 1
    return counts


def unfitted(state: State) -> State:
    """Maps that are not those of the last pass over the particles: nobody's share in them is known."""
    state.tensors = {name: tensor for name, tensor in state.tensors.items() if name not in ("variance", "order")}
    return state
