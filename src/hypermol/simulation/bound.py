"""How much the images hold: the posterior of a conformation under the true model.

With the true pose, CTF, noise and molecule, log p(X_i | θ) = -Σ_j |X_ij - image_ij(θ)|² / 2σ² is evaluated on
a grid over the one coordinate θ of the motion; the prior is the true one, uniform over the grid or the populations of
the states. The mean of the posterior is the estimate with the smallest expected squared error, and its largest value
names the state with the smallest expected error: no method can do better on average.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from hypermol.errors import ConfigError
from hypermol.particles.stack import StackReader
from hypermol.simulation.motions import Arrangements, Turns
from hypermol.simulation.parallel import in_tiles
from hypermol.simulation.project import Camera, form_images
from hypermol.simulation.spread import spread_images

if TYPE_CHECKING:
    from hypermol.simulation.truth import Truth

IMAGES_AT_ONCE = 128


@dataclass(frozen=True)
class Posterior:
    """mean: [n], in the motion's units (degrees); on a circle the direction of the mean vector, in the motion's
    range; NaN for whole models. grid: [G], or the models' numbers. log_likelihood: [n, G], up to a constant per
    particle. particle: [n]. prior: [G], sums to one."""

    mean: np.ndarray
    grid: np.ndarray
    log_likelihood: np.ndarray
    particle: np.ndarray
    prior: np.ndarray

    @property
    def probability(self) -> np.ndarray:
        """[n, G], each row sums to one."""
        weight = self.prior * np.exp(self.log_likelihood - self.log_likelihood.max(axis=1, keepdims=True))
        return weight / weight.sum(axis=1, keepdims=True)


def posterior_mean(truth: Truth, particles: np.ndarray | None = None, points: int = 61) -> Posterior:
    """Posterior of the coordinate of a motion with one coordinate, for some particles (default all but junk).

    The grid is the motion's own models where it has them, else ``points`` equal steps over its range.
    Raises ConfigError for motions without one coordinate and for data without noise.
    """
    motion = truth.motion
    if motion.dim != 1 or isinstance(motion, Arrangements):
        raise ConfigError(f"{truth.folder}: the posterior mean needs a motion with one angle, not {truth.name!r}")
    chosen = truth.intact if particles is None else np.asarray(particles, dtype=np.int64)
    grid = motion.steps(points) if motion.continuous else motion.states()[:, 0]
    prior = np.full(len(grid), 1 / len(grid)) if motion.continuous else motion.shares
    values = log_likelihood(truth, grid[:, None], chosen)
    posterior = Posterior(np.zeros(len(chosen)), grid, values, chosen, prior)
    if motion.circular and isinstance(motion, Turns):
        vector = posterior.probability @ np.exp(1j * np.deg2rad(grid))
        low = motion.turns[0].range_deg[0]
        mean = (np.rad2deg(np.angle(vector)) - low) % 360.0 + low
    else:
        mean = posterior.probability @ grid
    return Posterior(mean, grid, values, chosen, prior)


def state_posterior(truth: Truth, particles: np.ndarray | None = None) -> Posterior:
    """Posterior of the state, for some particles (default all but junk) of a data set of discrete states.

    Raises ConfigError for a continuum and for data without noise.
    """
    motion = truth.motion
    if motion.continuous:
        raise ConfigError(f"{truth.folder}: the posterior of the state needs discrete states, found a continuum")
    chosen = truth.intact if particles is None else np.asarray(particles, dtype=np.int64)
    states = motion.states()
    values = log_likelihood(truth, states, chosen)
    nothing = np.full(len(chosen), np.nan)
    return Posterior(nothing, np.arange(len(states), dtype=np.float64), values, chosen, motion.shares)


def log_likelihood(truth: Truth, points: np.ndarray, particles: np.ndarray) -> np.ndarray:
    """log p(images of each particle | shape), [n, G] float64, for the shapes at points [G, q] of the motion: its
    angles, or numbers of models (``truth.motion.states()`` for all of them).

    Raises ConfigError for data without noise.
    """
    if truth.noise_variance <= 0:
        raise ConfigError(f"{truth.folder}: the images carry no noise, so there is no likelihood to evaluate")
    stack = StackReader(truth.folder / "particles.mrcs")
    per_particle = len(truth.image_particle) // truth.count
    images = (particles[:, None] * per_particle + np.arange(per_particle)).reshape(-1)
    # atoms that stand still are projected once per image, the others once per image and conformation
    positions, weights = truth.motion.atoms(points)
    still = (np.ptp(positions, axis=0).max(axis=-1) < 1e-9) & (np.ptp(weights, axis=0) < 1e-9)
    parts = (positions[:1, still], weights[:1, still], positions[:, ~still], weights[:, ~still])
    camera = truth.camera

    def work(rows: np.ndarray) -> np.ndarray:
        return _tile_log_likelihood(truth, camera, images[rows], stack.read(images[rows]), parts)

    at_once = max(1, IMAGES_AT_ONCE // len(points))
    result = np.zeros((len(images), len(points)))
    for rows, values in in_tiles(work, len(images), at_once):
        result[rows] = values
    return result.reshape(len(particles), per_particle, -1).sum(axis=1)


def _tile_log_likelihood(
    truth: Truth, camera: Camera, tile: np.ndarray, pixels: np.ndarray, parts: tuple[np.ndarray, ...]
) -> np.ndarray:
    """[m, G] for the images ``tile`` [m] with the given pixels [m, D, D]."""
    still, still_weights, moving, moving_weights = parts
    count = len(moving)
    rotations, shifts = truth.image_poses(tile)
    base = np.zeros((len(tile), camera.fine, camera.fine), dtype=np.float32)
    spread_images(base, still, still_weights, rotations, shifts, camera.step)
    grids = np.repeat(base, count, axis=0)
    spread_images(
        grids,
        np.tile(moving, (len(tile), 1, 1)),
        np.tile(moving_weights, (len(tile), 1)),
        np.repeat(rotations, count, axis=0),
        np.repeat(shifts, count, axis=0),
        camera.step,
    )
    transfer = None if truth.ctf is None else camera.transfer(truth.ctf[tile]).repeat_interleave(count, dim=0)
    models = form_images(torch.from_numpy(grids), camera, transfer).unflatten(0, (len(tile), count))
    amplitude = torch.from_numpy(truth.scale * truth.contrast[tile]).float()[:, None, None, None]
    residual = (torch.from_numpy(pixels)[:, None] - amplitude * models).double()
    return (-0.5 / truth.noise_variance * residual.square().sum(dim=(-2, -1))).numpy()
