"""RELION's projector as a second, independent simulator: the same particles from the same true maps."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from pathlib import Path

import numpy as np

from hypermol.benchmarks.measure import measured
from hypermol.errors import ConfigError
from hypermol.maps import write_map
from hypermol.particles import StackReader, write_star
from hypermol.simulation import Truth, project_gaussians


def compare_with_relion(truth: Truth, particles: np.ndarray, pad: int = 3) -> np.ndarray:
    """Pearson correlation [m] of our clean images of some particles with relion_project's of their true maps.

    Both work in the padded box, in which the CTF does not wrap, inside the circle of its Nyquist frequency, and are
    cropped; ours projects atoms, RELION slices the
    transform of the rasterised map by linear interpolation (``pad``: its oversampling). Raises ConfigError where RELION
    is not installed, and for several images per particle.
    """
    if shutil.which("relion_project") is None:
        raise ConfigError("relion_project was not found (Debian: apt-get install relion)")
    if len(truth.image_particle) != truth.count:
        raise ConfigError(f"{truth.folder}: one image per particle is compared, found several")
    padded = dataclasses.replace(truth, box=truth.padded)
    with tempfile.TemporaryDirectory() as folder:
        pairs = [_pair(padded, int(particle), Path(folder), pad) for particle in particles]
    start = (truth.padded - truth.box) // 2
    inside = slice(start, start + truth.box)
    return np.array([np.corrcoef(a[inside, inside].ravel(), b[inside, inside].ravel())[0, 1] for a, b in pairs])


def _pair(truth: Truth, particle: int, folder: Path, pad: int) -> tuple[np.ndarray, np.ndarray]:
    """Our image and RELION's [P, P] of one particle, without noise."""
    one = np.array([particle])
    rotation, shift = truth.image_poses(one)
    ctf = None if truth.ctf is None else truth.ctf[one]
    points = truth.motion.points(truth.conformation[one], truth.state[one])
    transfer = None if ctf is None else truth.camera.transfer(ctf)
    ours = project_gaussians(*truth.motion.atoms(points), rotation, shift, truth.camera, transfer)
    write_map(folder / "map.mrc", truth.map(particle), truth.pixel_size)
    size, pixel = truth.box, truth.pixel_size
    write_star(
        folder / "one.star", "one.mrcs", box=size, pixel_size=pixel, rotation=rotation, shift=shift, ctf=ctf, count=1
    )
    options = ["--pad", str(pad), "--angpix", f"{pixel}", *(["--ctf"] if ctf is not None else [])]
    command = ["relion_project", "--i", "map.mrc", "--ang", "one.star", "--o", "theirs", *options]
    measured(command, folder / "log.txt", None, 0.0, folder)
    theirs = StackReader(folder / "theirs.mrcs").read(np.array([0]))[0]
    return _band_limited(ours[0].numpy()), _band_limited(theirs)


def _band_limited(image: np.ndarray) -> np.ndarray:
    """Without the corners of the spectrum beyond the circle, which RELION leaves out."""
    k = np.fft.fftfreq(len(image))
    inside = np.rint(np.hypot(k[:, None], k) * len(image)) < len(image) // 2
    return np.fft.ifft2(np.fft.fft2(image) * inside).real
