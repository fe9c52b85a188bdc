"""How well a pose can be known: the Cramér-Rao bound of rotation and shift under the true model.

With the molecule, conformation, CTF, contrast and noise known, the images of a particle are a mean μ(ω, τ) plus white
noise; the Fisher information of five or six numbers (a rotation vector ω in the microscope's frame, a shift τ) is
J = (1/σ²) Σ_pixels ∂μ ∂μᵀ, and no unbiased estimate has a covariance below J⁻¹ (Kay 1993, section 3.9). Derivatives are
central differences of exact projections.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from hypermol.errors import ConfigError
from hypermol.imaging.rotations import rotvec_to_matrix
from hypermol.simulation.draws import image_poses
from hypermol.simulation.project import project_gaussians

if TYPE_CHECKING:
    from hypermol.simulation.truth import Truth

TURN_DEG, MOVE_PX = 0.25, 0.05
"""Steps of the differences: small against the width of any detail in the band."""
DRAWS = 200
"""Errors drawn per particle for the median."""


@dataclass(frozen=True)
class PoseBound:
    """Per particle, least root mean square errors: rotation_deg, direction_deg [n] (degrees), shift [n] (Å).
    median_rotation_deg, median_direction_deg, median_shift: medians of the errors that an efficient estimator would
    make over these particles (its errors are Gaussian with the covariance of the bound)."""

    particle: np.ndarray
    rotation_deg: np.ndarray
    direction_deg: np.ndarray
    shift: np.ndarray
    median_rotation_deg: float
    median_direction_deg: float
    median_shift: float


def pose_bound(truth: Truth, particles: np.ndarray | None = None) -> PoseBound:
    """The bound for some particles (default all but junk). Raises ConfigError for data without noise, and where some
    pose has no bound since the molecule has an axis about which it is round."""
    if truth.noise_variance <= 0:
        raise ConfigError(f"{truth.folder}: the images carry no noise, so poses have no bound but 0")
    chosen = truth.intact if particles is None else np.asarray(particles, dtype=np.int64)
    covariance = np.stack([_covariance(truth, int(particle)) for particle in chosen])
    turn, move = covariance[:, :3, :3], covariance[:, 3:, 3:]
    rng = np.random.default_rng(0)
    root = np.linalg.cholesky(covariance)
    errors = np.einsum("nij,nkj->nki", root, rng.normal(size=(len(chosen), DRAWS, covariance.shape[-1])))
    length = lambda values: float(np.median(np.linalg.norm(values, axis=-1)))  # noqa: E731
    return PoseBound(
        chosen,
        np.rad2deg(np.sqrt(np.trace(turn, axis1=1, axis2=2))),
        np.rad2deg(np.sqrt(turn[:, 0, 0] + turn[:, 1, 1])),
        np.sqrt(np.trace(move, axis1=1, axis2=2)),
        np.rad2deg(length(errors[..., :3])),
        np.rad2deg(length(errors[..., :2])),
        length(errors[..., 3:]),
    )


def _covariance(truth: Truth, particle: int) -> np.ndarray:
    """J⁻¹ [5 or 6, 5 or 6] of one particle: radians and Å."""
    information, steps = pose_information(truth, particle)
    if np.linalg.cond(information * np.outer(steps, steps)) > 1e12:
        raise ConfigError(
            f"{truth.folder}: particle {particle} looks the same when it is turned; its pose has no bound"
        )
    return np.linalg.inv(information)


def pose_information(truth: Truth, particle: int, defocus_step: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Fisher information [q, q] of one particle's rotation vector (radians) and shift (Å), q = 5 or 6, and of its
    defocus (Å) where a step is given; and the steps [q] of the differences."""
    images = np.flatnonzero(truth.image_particle == particle)
    size = truth.shift.shape[1]
    steps = np.concatenate([np.full(3, np.deg2rad(TURN_DEG)), np.full(size, MOVE_PX * truth.pixel_size)])
    if defocus_step > 0:
        steps = np.append(steps, defocus_step)
    both = np.concatenate([np.diag(steps), -np.diag(steps)])
    pose, defocus = both[:, : 3 + size], both[:, 3 + size :].sum(1)
    means = _means(truth, particle, images, pose, defocus)
    slopes = (means[: len(steps)] - means[len(steps) :]) / (2 * steps[:, None])
    return slopes @ slopes.T / truth.noise_variance, steps


def _means(truth: Truth, particle: int, images: np.ndarray, change: np.ndarray, defocus: np.ndarray) -> np.ndarray:
    """Clean images, flat, [c, pixels], with the particle's pose changed by rows of (ω, τ) [c, 5 or 6] and its defocus
    by ``defocus`` [c] Å."""
    count, many = len(change), len(images)
    rotation = rotvec_to_matrix(torch.from_numpy(change[:, :3])).numpy() @ truth.rotation[particle]
    shift = truth.shift[particle] + change[:, 3:]
    tilt = np.tile(truth.tilt[images], (count, 1, 1))
    rotations, shifts = image_poses(rotation, shift, tilt, np.repeat(np.arange(count), many))
    motion = truth.motion
    positions, weights = motion.atoms(motion.points(truth.conformation[[particle]], truth.state[[particle]]))
    transfer = None
    if truth.ctf is not None:
        optics = truth.ctf[np.tile(images, count)]
        transfer = truth.camera.transfer(optics.defocused(torch.from_numpy(np.repeat(defocus, many))))
    pixels = project_gaussians(positions, weights, rotations, shifts, truth.camera, transfer).double().numpy()
    amplitude = truth.scale * np.tile(truth.contrast[images], count)
    return (amplitude[:, None, None] * pixels).reshape(count, -1)
