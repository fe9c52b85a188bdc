"""FSC of each particle's map with its own true map, quickly, and its summary over particles and conformations."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import torch
from torch import Tensor

from hypermol.errors import DataError
from hypermol.metrics.area import cryobench_curve
from hypermol.metrics.fsc import fsc
from hypermol.shapes import Float, Int

Curve = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def particle_curves(
    maps: Iterable[Tensor] | Float[Tensor, "n d d d"],
    truths: Iterable[Tensor] | Float[Tensor, "n d d d"],
    mask: Float[Tensor, "d d d"] | None = None,
    cryobench: bool = False,
) -> Float[Tensor, "n s"]:
    """FSC [N, D/2] of map i with true map i, in one mask for all; with ``cryobench``, by CryoBench's shells.

    Stacks [N, D, D, D] or anything that yields maps one by one (decoded as they are asked for: two are held at a
    time). ``fsc_mean`` of the result is the mean over shells, ``curve_area`` CryoBench's area. Raises DataError where
    there are no maps or not one true map for each.
    """
    curve: Curve = cryobench_curve if cryobench else fsc
    rows: list[Tensor] = []
    for found, known in zip_longest(maps, truths):
        if found is None or known is None:
            raise DataError(f"per-particle FSC: expected a true map for each map, one side ended after {len(rows)}")
        rows.append(curve(found, known, mask))
    if not rows:
        raise DataError("per-particle FSC: expected at least one map")
    return torch.stack(rows)


def equal_steps(count: int, wanted: int) -> Int[np.ndarray, " m"]:
    """Particles 0, s, 2s, … with s = count // wanted, as CryoBench picks them for its per-image figures.

    ``wanted`` of them where it divides ``count``, a few more otherwise. Raises DataError where there are fewer
    particles than wanted.
    """
    if not 1 <= wanted <= count:
        raise DataError(f"equal steps: expected 1 to {count} particles of {count}, found {wanted}")
    return np.arange(0, count, count // wanted)


@dataclass(frozen=True)
class StateScores:
    """One score per conformation: its number, how many particles it has, their mean and standard deviation.

    ``mean`` and ``spread`` are over conformations, each counting once however many particles it has: CryoBench's
    "mean (std)". Particles whose score is not a number are left out.
    """

    state: Int[np.ndarray, " k"]
    count: Int[np.ndarray, " k"]
    score: Float[np.ndarray, " k"]
    deviation: Float[np.ndarray, " k"]
    mean: float
    spread: float


def per_conformation(scores: Float[Tensor, " n"], state: Int[np.ndarray, " n"]) -> StateScores:
    """Scores [N] of particles (any unit; areas, say) gathered by their true state [N] (Jeon et al. 2024).

    Given one map per conformation instead, pass its score and number once: the same figures come out. Raises DataError
    where no score is a number.
    """
    values = scores.detach().cpu().double().numpy()
    known = np.isfinite(values)
    if not known.any():
        raise DataError("per conformation: expected scores, found none that is a number")
    states, member = np.unique(state[known], return_inverse=True)
    groups = [values[known][member == k] for k in range(len(states))]
    mean = np.array([group.mean() for group in groups])
    return StateScores(
        states,
        np.array([len(group) for group in groups]),
        mean,
        np.array([group.std() for group in groups]),
        float(mean.mean()),
        float(mean.std()),
    )
