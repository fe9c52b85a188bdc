"""Coordinates of z that can be compared: whitened, and without what pose and CTF say about them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from hypermol.errors import DataError
from hypermol.particles import Particles
from hypermol.shapes import Float

UNUSED = 1e-3
"""A direction of z with less than this share of the whole variance is not used by the model."""

RIDGE = 1e-3
MOST = 8


@dataclass(frozen=True)
class Frame:
    """z → uncorrelated coordinates of unit variance, q of them (0 where the model makes no use of z).

    centre [d], weights [f, d] of the standardised nuisance (``middle``, ``spread`` [f]), directions [d, q]. nuisance:
    share of z's variance that pose and CTF explain on particles that the fit has not seen, 0 (none of it) to 1.
    """

    centre: Float[np.ndarray, " d"]
    middle: Float[np.ndarray, " f"]
    spread: Float[np.ndarray, " f"]
    weights: Float[np.ndarray, "f d"]
    directions: Float[np.ndarray, "d q"]
    nuisance: float

    @property
    def count(self) -> int:
        """q."""
        return self.directions.shape[1]

    def coordinates(self, z: Float[np.ndarray, "N d"], nuisance: Float[np.ndarray, "N f"]) -> Float[np.ndarray, "N q"]:
        """Those of any particles."""
        return self._rest(z, nuisance) @ self.directions

    def along(self, directions: Float[np.ndarray, "q p"]) -> Frame:
        """The frame of p mixtures of these coordinates (columns of ``directions``)."""
        return dataclasses.replace(self, directions=self.directions @ directions)

    def _rest(self, z: np.ndarray, nuisance: np.ndarray) -> np.ndarray:
        return z - self.centre - ((nuisance - self.middle) / self.spread) @ self.weights


def frame_of(z: Float[np.ndarray, "N d"], nuisance: Float[np.ndarray, "N f"] | None = None, most: int = MOST) -> Frame:
    """The frame of z [N, d], its ``most`` largest components kept; ``nuisance`` [N, f] as ``pose_and_ctf`` gives it.

    Raises DataError for NaN or too few particles.
    """
    z = np.asarray(z, dtype=np.float64)
    nuisance = np.zeros((len(z), 0)) if nuisance is None else nuisance
    needed = 2 * (z.shape[1] + 1)
    if len(z) < needed:
        raise DataError(f"{len(z)} particles are too few to compare axes of z; at least {needed} are needed")
    if not np.isfinite(z).all():
        raise DataError("z holds values that are NaN or infinite; the run may have diverged, see its log")
    middle, spread = nuisance.mean(0), np.maximum(nuisance.std(0), 1e-9)
    standard = (nuisance - middle) / spread
    centre = z.mean(0)
    share = _explained(z - centre, standard)
    weights = _ridge(standard, z - centre)
    rest = z - centre - standard @ weights
    return Frame(centre, middle, spread, weights, _whitening(rest, most), share)


def pose_and_ctf(particles: Particles) -> Float[np.ndarray, "N f"]:
    """What z should not know, per particle: harmonics of the viewing direction and of the in-plane angle, shift (Å) and
    defocus (µm) with their squares; those that are known."""
    from hypermol.landscape.leakage import in_plane_functions, view_functions

    columns: list[np.ndarray] = [np.zeros((particles.count, 0))]
    if particles.rotation is not None:
        rotation = np.asarray(particles.rotation)
        columns += [*view_functions(rotation), *in_plane_functions(rotation)]
    if particles.shift is not None:
        columns += [particles.shift, particles.shift**2]
    if particles.ctf is not None:
        first = particles.first_image
        defocus = particles.ctf.mean_defocus.numpy()[first][:, None] / 1e4
        columns += [defocus, defocus**2]
    return np.concatenate(columns, 1)


def _explained(z: np.ndarray, standard: np.ndarray) -> float:
    """R² of the linear prediction of z from the nuisance: fitted on every other particle, scored on the rest."""
    fit = np.arange(len(z)) % 2 == 0
    total = ((z[~fit] - z[fit].mean(0)) ** 2).sum()
    if standard.shape[1] == 0 or fit.sum() < 2 * standard.shape[1] or not total > 0:
        return 0.0
    guess = z[fit].mean(0) + standard[~fit] @ _ridge(standard[fit], z[fit] - z[fit].mean(0))
    return float(max(0.0, 1 - ((z[~fit] - guess) ** 2).sum() / total))


def _ridge(design: np.ndarray, target: np.ndarray) -> np.ndarray:
    penalised = design.T @ design + RIDGE * len(design) * np.eye(design.shape[1])
    return np.linalg.solve(penalised, design.T @ target)


def _whitening(z: np.ndarray, most: int) -> np.ndarray:
    """[d, q] with unit covariance after, largest variance first."""
    if z.shape[1] == 0:
        return np.zeros((0, 0))
    variance, directions = np.linalg.eigh(z.T @ z / len(z))
    order = np.argsort(variance)[::-1][:most]
    if not variance.sum() > 1e-12:
        return directions[:, :0]
    order = order[variance[order] > UNUSED * variance.sum()]
    return directions[:, order] / np.sqrt(variance[order])
