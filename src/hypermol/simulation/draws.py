"""Everything random about a simulated data set. Each quantity has its own stream, keyed by (seed, purpose):
what one setting changes leaves all other draws as they were, and noise does not depend on chunk sizes."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np
import torch

from hypermol.imaging.ctf import CTF
from hypermol.imaging.rotations import rotvec_to_matrix
from hypermol.simulation.junk import draw_junk
from hypermol.simulation.motions import Motion
from hypermol.simulation.populations import balanced
from hypermol.simulation.recipe import Recipe

MICRON = 1e4
"""Å"""


@dataclass(frozen=True)
class Drawn:
    """The truth about N particles and their M images; images of one particle are neighbours.

    rotation [N, 3, 3]; shift [N, 2] Å, or [N, 3] with several images each; conformation [N, d]; state [N];
    half [N]; image_particle [M]; tilt [M, 3, 3]; ctf of batch shape [M], or None; contrast [M]; junk [N] (see
    ``junk.py``; such a particle has conformation NaN and state -1).
    """

    rotation: np.ndarray
    shift: np.ndarray
    conformation: np.ndarray
    state: np.ndarray
    half: np.ndarray
    image_particle: np.ndarray
    tilt: np.ndarray
    ctf: CTF | None
    contrast: np.ndarray
    junk: np.ndarray


def stream(seed: int, purpose: str) -> np.random.Generator:
    """The random numbers of one purpose."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(zlib.crc32(purpose.encode()),)))


def draw(recipe: Recipe, motion: Motion, pixel_size: float) -> Drawn:
    """Poses, shifts, conformations, balanced halves, junk, contrast, and the microscope's settings."""
    n, images = recipe.n, len(recipe.tilts_deg)
    conformation, state = motion.draw(n, stream(recipe.seed, "conformation"))
    junk = draw_junk(n, recipe.junk, stream(recipe.seed, "junk"))
    reach = pixel_size * largest_shift_px(recipe)
    return Drawn(
        rotation=_draw_rotations(recipe),
        shift=stream(recipe.seed, "shift").uniform(-reach, reach, size=(n, 3))[:, : 2 if images == 1 else 3],
        conformation=np.where(junk[:, None] > 0, np.nan, conformation),
        state=np.where(junk > 0, -1, state),
        half=balanced(n, 2, stream(recipe.seed, "half")).astype(np.int8),
        image_particle=np.repeat(np.arange(n), images),
        tilt=np.tile(about_x(recipe.tilts_deg), (n, 1, 1)),
        ctf=_draw_ctf(recipe, n * images) if recipe.ctf else None,
        contrast=stream(recipe.seed, "contrast").uniform(*recipe.contrast_range, size=n * images),
        junk=junk,
    )


def _draw_rotations(recipe: Recipe) -> np.ndarray:
    """[N, 3, 3]: see ``ViewDensity``."""
    return recipe.view_density.rotations(recipe.n, stream(recipe.seed, "rotation"))


def largest_shift_px(recipe: Recipe) -> float:
    """Shifts reach this far (px) in each direction."""
    return recipe.box / 16 if recipe.shift_px is None else recipe.shift_px


def about_x(tilts_deg: tuple[float, ...]) -> np.ndarray:
    """Stage tilts A [J, 3, 3], right-handed about the microscope's x axis."""
    vectors = torch.zeros(len(tilts_deg), 3, dtype=torch.float64)
    vectors[:, 0] = torch.deg2rad(torch.tensor(tilts_deg, dtype=torch.float64))
    return rotvec_to_matrix(vectors).numpy()


def image_poses(
    rotation: np.ndarray, shift: np.ndarray, tilt: np.ndarray, particle: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """R_ij = A_ij R_i [m, 3, 3] and t_ij = [A_ij τ_i]_xy [m, 2] Å of images with ``tilt`` [m, 3, 3]."""
    rotations, moved = tilt @ rotation[particle], shift[particle]
    if shift.shape[1] == 2:
        return rotations, moved
    return rotations, np.einsum("mij,mj->mi", tilt[:, :2], moved)


def _draw_ctf(recipe: Recipe, images: int) -> CTF:
    rng = stream(recipe.seed, "defocus")
    low, high = np.array(recipe.defocus_um) * MICRON
    if recipe.defocus == "log-normal":
        middle, width = math.log(low * high) / 2, math.log(high / low) / (2 * 1.959964)
        mean = np.exp(middle + width * rng.normal(size=images))
    else:
        mean = rng.uniform(low, high, size=images)
    rng = stream(recipe.seed, "astigmatism")
    half = 0.5 * recipe.astigmatism * rng.uniform(size=images)
    return CTF.create(
        mean + half,
        mean - half,
        rng.uniform(0, math.pi, size=images) if recipe.astigmatism else 0.0,
        recipe.voltage_kv,
        recipe.cs_mm,
        recipe.amplitude_contrast,
    )


def white_noise(seed: int, images: np.ndarray, box: int) -> np.ndarray:
    """Standard normal pixels [m, D, D] (float32) of the images with these numbers, whatever comes before."""
    noise = np.empty((len(images), box, box), dtype=np.float32)
    key = [seed, zlib.crc32(b"noise")]
    for row, image in enumerate(images):
        bits = np.random.Philox(key=key, counter=[0, 0, 0, int(image)])
        np.random.Generator(bits).standard_normal(dtype=np.float32, out=noise[row])
    return noise
