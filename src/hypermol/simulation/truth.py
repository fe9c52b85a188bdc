"""The truth of a simulated data set: poses, conformations, and the exact map of every particle."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from hypermol.errors import ConfigError, DataError
from hypermol.imaging.ctf import CTF
from hypermol.simulation.draws import image_poses
from hypermol.simulation.motion_files import load_motion
from hypermol.simulation.motions import Motion
from hypermol.simulation.project import Camera
from hypermol.simulation.rasterise import rasterise_gaussians
from hypermol.simulation.regions import atoms_over_range, mask_around

if TYPE_CHECKING:
    from hypermol.simulation.bound import Posterior

QUADRATURE = 400
"""Conformations that stand for a continuum in the mean map: quantiles of the particles' own."""
CTF_NAMES = ("defocus_u", "defocus_v", "astigmatism_angle", "voltage_kv", "cs_mm", "amplitude_contrast")


@dataclass(frozen=True, eq=False)
class Truth:
    """What ``simulate`` knew of N particles with M images (numpy, float64; lengths in Å, angles in degrees).

    rotation [N, 3, 3]; shift [N, 2] or [N, 3]; conformation [N, d] in the motion's units; state [N]; half [N];
    tilt [M, 3, 3]; image_particle [M]; ctf (batch shape [M]) or None. box and padded in px; sigma of atoms;
    scale: an image is ``scale`` times its ``contrast`` [M] times the projected atoms, plus noise of ``noise_variance``
    per pixel. junk [N]: 0, or which kind of junk (``simulation.junk``); junk has conformation NaN and state -1.
    """

    folder: Path
    name: str
    motion: Motion
    rotation: np.ndarray
    shift: np.ndarray
    conformation: np.ndarray
    state: np.ndarray
    half: np.ndarray
    tilt: np.ndarray
    image_particle: np.ndarray
    ctf: CTF | None
    contrast: np.ndarray
    junk: np.ndarray
    noise_variance: float
    scale: float
    sigma: float
    pixel_size: float
    box: int
    padded: int

    @staticmethod
    def load(folder: Path | str) -> Truth:
        """Read a folder that ``simulate`` wrote. Raises DataError where it is none, naming what is missing."""
        folder = Path(folder)
        path = folder / "truth.npz"
        if not path.is_file():
            raise DataError(f"{folder}: expected a simulated data set, found no truth.npz in it")
        try:
            with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as data:
                arrays = {name: data[name] for name in data.files}
            return _from_arrays(folder, arrays)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: not the truth of a simulated data set: {error}") from None

    @property
    def count(self) -> int:
        """N, the number of particles."""
        return len(self.rotation)

    @property
    def intact(self) -> np.ndarray:
        """Numbers of the particles that show the molecule: all but junk."""
        return np.flatnonzero(self.junk == 0)

    def sample(self, count: int) -> np.ndarray:
        """Numbers of up to ``count`` intact particles, in order; always the same ones."""
        intact = self.intact
        return np.sort(np.random.default_rng(0).choice(intact, min(count, len(intact)), replace=False))

    @property
    def dim(self) -> int:
        """d, coordinates of a conformation (0 for a homogeneous set and for discrete states)."""
        return self.conformation.shape[1]

    @property
    def camera(self) -> Camera:
        """How the images were formed."""
        return Camera(self.box, self.padded, self.pixel_size, self.sigma)

    def image_poses(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """R_ij [m, 3, 3] and t_ij [m, 2] Å of the images with these numbers."""
        return image_poses(self.rotation, self.shift, self.tilt[images], self.image_particle[images])

    def map(self, particle: int) -> Tensor:
        """The exact map [D, D, D] of one particle, in the images' units: its central slices are their
        transforms before CTF, contrast, shift and noise. Raises ConfigError for junk, which has no map."""
        if self.junk[particle]:
            raise ConfigError(f"{self.folder}: particle {particle} is junk and has no map; choose from truth.intact")
        return self._rasterise(self._points(np.array([particle])), np.ones(1))

    def maps(self, particles: np.ndarray) -> Tensor:
        """The exact maps [m, D, D, D] of some particles."""
        return torch.stack([self.map(int(particle)) for particle in particles])

    def map_at(self, conformation: np.ndarray) -> Tensor:
        """The exact map [D, D, D] at a conformation [d], whether or not a particle has it."""
        return self._rasterise(np.asarray(conformation, dtype=np.float64).reshape(1, self.dim), np.ones(1))

    def map_at_point(self, point: np.ndarray) -> Tensor:
        """The exact map [D, D, D] at a point [q] of the motion: angles, or the number of a model."""
        return self._rasterise(np.asarray(point, dtype=np.float64).reshape(1, -1), np.ones(1))

    def map_of_state(self, state: int) -> Tensor:
        """The map [D, D, D] of a state, as in ``volumes/``."""
        return self._rasterise(self.motion.states()[[state]], np.ones(1))

    def mean_map(self) -> Tensor:
        """The noise-free consensus [D, D, D]: the mean of the maps of all intact particles."""
        intact = self.intact
        points, counts = np.unique(self._points(intact), axis=0, return_counts=True)
        share = counts / len(intact)
        if self.dim == 1 and len(points) > QUADRATURE:
            middle = (np.arange(QUADRATURE) + 0.5) / QUADRATURE
            points = np.quantile(self.conformation[intact, 0], middle)[:, None]
            share = np.full(QUADRATURE, 1 / QUADRATURE)
        elif len(points) > 4 * QUADRATURE:
            chosen = np.random.default_rng(0).choice(intact, 4 * QUADRATURE, replace=False)
            points, share = self._points(chosen), np.full(len(chosen), 1 / len(chosen))
        return self._rasterise(points, share)

    def mask(self) -> Tensor:
        """Soft mask [D, D, D] around the molecule in all its conformations."""
        return self._mask(moving_only=False)

    def moving_mask(self) -> Tensor:
        """Soft mask [D, D, D] around the part that moves, over its whole range. Raises ConfigError where
        nothing moves."""
        if not self.motion.moving.any():
            raise ConfigError(f"{self.folder}: a homogeneous data set has no moving part")
        return self._mask(moving_only=True)

    def posterior_mean(self, particles: np.ndarray | None = None, points: int = 61) -> Posterior:
        """What the images hold about the conformation: see ``bound.posterior_mean``."""
        from hypermol.simulation.bound import posterior_mean

        return posterior_mean(self, particles, points)

    def _points(self, particles: np.ndarray) -> np.ndarray:
        return self.motion.points(self.conformation[particles], self.state[particles])

    def _rasterise(self, points: np.ndarray, share: np.ndarray) -> Tensor:
        positions, weights = self.motion.atoms(points)
        weights = weights * (share[:, None] * self.scale)
        return rasterise_gaussians(positions, weights, self.box, self.pixel_size, self.sigma)

    def _mask(self, moving_only: bool) -> Tensor:
        positions = atoms_over_range(self.motion, moving_only)
        return mask_around(positions, self.box, self.pixel_size, 2 * self.sigma, 2 * self.pixel_size)


def save_truth(folder: Path, truth: Truth) -> None:
    """Write ``truth.npz``."""
    names = ("rotation", "shift", "conformation", "state", "half", "tilt", "image_particle", "contrast", "junk")
    numbers = ("noise_variance", "scale", "sigma", "pixel_size", "box", "padded", "name")
    arrays = {name: getattr(truth, name) for name in names}
    arrays |= {name: np.array(getattr(truth, name)) for name in numbers}
    if truth.ctf is not None:
        arrays |= {name: getattr(truth.ctf, name).numpy() for name in CTF_NAMES}
    with open(folder / "truth.npz", "wb") as stream:
        np.savez(stream, **arrays)


def _from_arrays(folder: Path, arrays: dict[str, np.ndarray]) -> Truth:
    ctf = CTF.create(*(arrays[name] for name in CTF_NAMES)) if "defocus_u" in arrays else None
    return Truth(
        folder=folder,
        name=str(arrays["name"]),
        motion=load_motion(folder / "atoms" / "motion.npz"),
        rotation=arrays["rotation"],
        shift=arrays["shift"],
        conformation=arrays["conformation"],
        state=arrays["state"],
        half=arrays["half"],
        tilt=arrays["tilt"],
        image_particle=arrays["image_particle"],
        ctf=ctf,
        contrast=arrays.get("contrast", np.ones(len(arrays["image_particle"]))),
        junk=arrays.get("junk", np.zeros(len(arrays["rotation"]), dtype=np.int8)),
        noise_variance=float(arrays["noise_variance"]),
        scale=float(arrays["scale"]),
        sigma=float(arrays["sigma"]),
        pixel_size=float(arrays["pixel_size"]),
        box=int(arrays["box"]),
        padded=int(arrays["padded"]),
    )
