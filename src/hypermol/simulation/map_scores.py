"""Maps of particles against their own true maps, in masks that come from the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from hypermol.errors import DataError
from hypermol.metrics import gain, particle_curves
from hypermol.simulation.truth import Truth

WHOLE, MOVING = "whole map", "moving domain"
AT_Z, MEAN = "z", "noise-free mean map"
AT_ONCE = 8
"""Maps of the truth and of the answer that are held at a time."""
GAIN, MEAN_OF_GAINS = "gain in the moving domain, of mean curves", "gain in the moving domain"
"""What the two figures are called everywhere: ``gain_of`` and ``mean_of_gains``."""
_GAIN = "shells 2 to D/4 - 1, mask around what moves; 0: nothing learned of motion, 1: the truth"
GAIN_HOW = f"(FSC - mean map's)/(1 - mean map's) of the mean curves, {_GAIN}"
MEAN_OF_GAINS_HOW = f"(FSC - mean map's)/(1 - mean map's) of each particle, averaged, {_GAIN}"

Curves = dict[str, dict[str, Tensor]]


def truth_masks(truth: Truth) -> dict[str, Tensor]:
    """The whole molecule, and the part that moves, where something does."""
    masks = {WHOLE: truth.mask().float()}
    return masks | ({MOVING: truth.moving_mask().float()} if truth.motion.moving.any() else {})


def map_curves(
    truth: Truth,
    particles: np.ndarray,
    maps: Iterable[Tensor],
    rivals: Mapping[str, Tensor],
    masks: Mapping[str, Tensor],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Curves:
    """FSC [n, D/2] with each particle's own true map: region → name → curves.

    particles: [n], intact. maps: one [D, D, D] for each, in the truth's frame, called ``AT_Z``; rivals: maps that stand
    for every particle. Raises DataError where the maps are not as many as the particles.
    """
    rows: dict[str, dict[str, list[Tensor]]] = {region: {} for region in masks}
    left = iter(maps)
    for start in range(0, len(particles), AT_ONCE):
        chosen = particles[start : start + AT_ONCE]
        exact = truth.maps(chosen).float()
        stacks = {AT_Z: [found.float() for found in islice(left, len(chosen))]}
        stacks |= {name: [rival.float()] * len(chosen) for name, rival in rivals.items()}
        for region, mask in masks.items():
            for name, stack in stacks.items():
                rows[region].setdefault(name, []).append(particle_curves(stack, exact, mask))
        progress(start + len(chosen), len(particles))
    if next(left, None) is not None:
        raise DataError(f"maps: expected {len(particles)}, one for each particle, found more")
    return {region: {name: torch.cat(parts) for name, parts in named.items()} for region, named in rows.items()}


def gain_of(curves: Curves) -> float:
    """The gain in the moving domain, of curves averaged over particles: one particle whose own map is close to the mean
    map leaves no room for a ratio, and would outweigh all others. Wants the rival ``MEAN``."""
    named = curves[MOVING]
    return float(gain(named[AT_Z].mean(0), named[MEAN].mean(0)))


def mean_of_gains(curves: Curves) -> float:
    """Each particle's own gain in the moving domain, averaged: stricter than ``gain_of``, for particles close to the
    mean map count as much as those that moved far."""
    named = curves[MOVING]
    return float(gain(named[AT_Z], named[MEAN]).nanmean())
