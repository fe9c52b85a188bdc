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
    DIRECTION,
    FSC_AT_Z,
    GAIN,
    ROTATION,
    SHIFT,
    STATES_APART,
    Figures,
    as_order,
    as_states,
    figure,
    order_name,
)
from hypermol.errors import ConfigError
from hypermol.metrics import r_squared, spearman
from hypermol.metrics.conformations import circular_spearman
from hypermol.simulation import Posterior, Truth, pose_bound, posterior_mean, state_posterior

MAPS, POSES = 60, 100
"""Particles whose posterior mean maps, and whose pose bounds, are worked out."""


def information_bound(truth: Truth, particles: np.ndarray) -> Figures:
    """The best figures any method could reach on average, by the names under which programs are scored; empty where the
    images carry no noise (then they hold everything)."""
    if truth.noise_variance <= 0:
        return {}
    figures: Figures = {}
    motion = truth.motion
    if motion.moving.any() and (not motion.continuous or motion.dim == 1):
        posterior = (posterior_mean if motion.continuous else state_posterior)(truth, particles)
        points = posterior.grid[:, None] if motion.continuous else motion.states()
        figures |= _of_order(truth, posterior, points) if as_order(truth) else {}
        figures |= _of_states(posterior) if as_states(truth) else {}
        figures |= _of_maps(truth, posterior, points)
    return figures | _of_poses(truth, particles)


def _of_order(truth: Truth, posterior: Posterior, points: np.ndarray) -> Figures:
    how = f"posterior mean of the true coordinate under the true model, {len(posterior.particle)} particles"
    figures: Figures = {}
    for axis in range(truth.dim):
        known = truth.conformation[posterior.particle, axis]
        if truth.motion.circular:
            vector = posterior.probability @ np.exp(1j * np.deg2rad(points[:, axis]))
            pair, found = np.exp(1j * np.deg2rad(known)), np.rad2deg(np.angle(vector))
            rank = abs(circular_spearman(found, known))
            share = 1 - (np.abs(vector - pair) ** 2).sum() / (np.abs(pair - pair.mean()) ** 2).sum()
        else:
            found = posterior.probability @ points[:, axis]
            rank, share = abs(spearman(found, known)), r_squared(found, known)
        figures[order_name("|Spearman|", axis, truth.dim)] = figure(rank, how)
        figures[order_name("R²", axis, truth.dim)] = figure(float(share), how)
    return figures


def _of_states(posterior: Posterior) -> Figures:
    how = f"expected share right of the most probable state under the true model, {len(posterior.particle)} particles"
    return {STATES_APART: figure(100 * float(posterior.probability.max(axis=1).mean()), how, "%")}


def _of_maps(truth: Truth, posterior: Posterior, points: np.ndarray) -> Figures:
    """The same figures as a program's, of the posterior mean map."""
    chosen = np.arange(min(MAPS, len(posterior.particle)))
    rasterised = [truth.map_at_point(point).float() for point in points]

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
