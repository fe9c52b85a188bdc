"""The information bound of a problem: what the images hold about z and pose when everything else is known.

For z, the posterior under the true model (``simulation.bound``): its mean has the smallest expected squared error, its
mode the smallest expected number of wrong states, and the posterior mean of the *map* the smallest expected squared
error of a map. For the pose, the Cramér-Rao bound. No method can do better on average; one with unknown molecule does
worse. The posterior mean map is the best in squared error and not exactly in FSC, so a gain may exceed it by chance.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from hypermol.benchmarks.comparison import MapScore
from hypermol.benchmarks.figures import (
    FSC_AT_Z,
    STATES_APART,
    Figures,
    figure,
    order_name,
)
from hypermol.errors import ConfigError
from hypermol.simulation import (
    DIRECTION,
    GAIN,
    ROTATION,
    SHIFT,
    Knowable,
    Truth,
    as_order,
    as_states,
    knowable,
    order_limits,
    pose_bound,
    state_limit,
)

MAPS, POSES = 60, 100
"""Particles whose posterior mean maps, and whose pose bounds, are worked out."""


def information_bound(truth: Truth, particles: np.ndarray) -> Figures:
    """The best figures any method could reach on average, by the names under which programs are scored; empty where the
    images carry no noise (then they hold everything)."""
    if truth.noise_variance <= 0:
        return {}
    figures: Figures = {}
    if held := knowable(truth, particles):
        figures |= _of_order(truth, held) if as_order(truth) else {}
        figures |= _of_states(held) if as_states(truth) else {}
        figures |= _of_maps(truth, held)
    return figures | _of_poses(truth, particles)


def _of_order(truth: Truth, held: Knowable) -> Figures:
    how = f"posterior mean of the true coordinate under the true model, {len(held.posterior.particle)} particles"
    figures: Figures = {}
    for axis, limit in enumerate(order_limits(truth, held)):
        figures[order_name("|Spearman|", axis, truth.dim)] = figure(limit.spearman, how)
        figures[order_name("R²", axis, truth.dim)] = figure(limit.r_squared, how)
    return figures


def _of_states(held: Knowable) -> Figures:
    count = len(held.posterior.particle)
    how = f"expected share right of the most probable state under the true model, {count} particles"
    return {STATES_APART: figure(100 * state_limit(held), how, "%")}


def _of_maps(truth: Truth, held: Knowable) -> Figures:
    """The same figures as a program's, of the posterior mean map."""
    posterior = held.posterior
    chosen = np.arange(min(MAPS, len(posterior.particle)))
    rasterised = [truth.map_at_point(point).float() for point in held.points]

    def mean_maps() -> Iterator[Tensor]:
        for row in chosen:
            yield sum_of(rasterised, posterior.probability[row])

    found = MapScore(truth, posterior.particle[chosen]).figures(mean_maps())
    how = f"posterior mean map under the true model, {len(chosen)} particles"
    return {name: {**found[name], "how": how} for name in (GAIN, FSC_AT_Z) if name in found}


def sum_of(maps: list[Tensor], weights: np.ndarray) -> Tensor:
    """Σ w V, over the maps that count."""
    total = torch.zeros_like(maps[0])
    for weight, map_ in zip(weights, maps):
        if weight > 1e-6:
            total.add_(map_, alpha=float(weight))
    return total


def _of_poses(truth: Truth, particles: np.ndarray) -> Figures:
    try:
        bound = pose_bound(truth, particles[:POSES])
    except ConfigError:
        return {}
    how = f"Cramér-Rao bound with the molecule, its conformation and the CTF known, {len(bound.particle)} particles"
    return {
        ROTATION: figure(bound.median_rotation_deg, how, "°", "lower"),
        DIRECTION: figure(bound.median_direction_deg, how, "°", "lower"),
        SHIFT: figure(bound.median_shift / truth.pixel_size, how, "px", "lower"),
    }
