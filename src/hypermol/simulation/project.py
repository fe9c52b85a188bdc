"""Images of Gaussian atoms: projected analytically, blurred by the CTF in a padded box, cropped.

No map is interpolated. The result is the band-limited image whose Fourier transform inside the band is

    X(k) = CTF(k) exp(-2π² σ² k²) Σ_a w_a exp(-2πi k·[R r_a + τ]_xy)

to 1e-5 (see ``spread``), cut from a box so large that what the CTF spreads does not wrap.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hypermol.imaging import crop_axis
from hypermol.imaging.ctf import CTF, wavelength
from hypermol.simulation.spread import OVERSAMPLING, spread_images, spreading_filter


@dataclass(frozen=True)
class Camera:
    """Where and how finely images are formed: box and padded box (px, even), pixel size and σ of atoms (Å)."""

    box: int
    padded: int
    pixel_size: float
    sigma: float

    @property
    def step(self) -> float:
        """Å between samples of the grid on which atoms are spread."""
        return self.pixel_size / OVERSAMPLING

    @property
    def fine(self) -> int:
        """Box size of that grid."""
        return self.padded * OVERSAMPLING

    @functools.cached_property
    def frequencies(self) -> Tensor:
        """(kx, ky) in cycles/pixel of the padded half plane, [P·(P/2+1), 2] float64."""
        ky = torch.fft.fftfreq(self.padded, dtype=torch.float64)
        kx = torch.fft.rfftfreq(self.padded, dtype=torch.float64)
        y, x = torch.meshgrid(ky, kx, indexing="ij")
        return torch.stack([x.flatten(), y.flatten()], dim=-1)

    @functools.cached_property
    def atom_filter(self) -> Tensor:
        """[P, P/2+1] float32: the exact width of the atoms and the change of sampling; 0 at ±Nyquist, where
        two frequencies cannot be told apart."""
        k2 = (self.frequencies**2).sum(-1).numpy() / self.pixel_size**2
        values = torch.from_numpy(spreading_filter(k2, self.sigma, self.step))
        values[(self.frequencies.abs() >= 0.5 - 1e-9).any(dim=-1)] = 0.0
        return values.reshape(self.padded, self.padded // 2 + 1).float()

    def transfer(self, ctf: CTF) -> Tensor:
        """[B, P, P/2+1] float32: the CTF (batch shape [B]) times ``atom_filter``."""
        value = ctf.evaluate(self.frequencies.float(), self.pixel_size)
        return value.reshape(*ctf.shape, self.padded, self.padded // 2 + 1) * self.atom_filter


def padded_box(
    box: int, pixel_size: float, reach: float, largest_defocus: float | None = None, **microscope: float
) -> int:
    """The padded box (px) in which nothing wraps into the middle ``box``.

    reach: Å from the origin to the outermost signal, shift included. A wave of frequency k is displaced by
    λ Δf k - C_s λ³ k³ (Å); the largest displacement up to the corner of the spectrum is added.
    largest_defocus: Å, or None without CTF. microscope: ``voltage_kv``, ``cs_mm``.
    """
    spread = 0.0
    if largest_defocus is not None:
        length = float(wavelength(torch.tensor(float(microscope["voltage_kv"]), dtype=torch.float64)))
        k = np.linspace(0.0, math.sqrt(0.5) / pixel_size, 200)
        moved = length * largest_defocus * k - microscope["cs_mm"] * 1e7 * length**3 * k**3
        spread = float(np.abs(moved).max()) + 4.0 * pixel_size
    needed = box / 2 + (reach + spread) / pixel_size
    return fast_size(max(box, math.ceil(needed)))


def fast_size(least: int) -> int:
    """The smallest multiple of 4 that is at least ``least`` and has no prime factor above 5."""
    size = 4 * math.ceil(least / 4)
    while not _smooth(size):
        size += 4
    return size


def _smooth(size: int) -> bool:
    for prime in (2, 3, 5):
        while size % prime == 0:
            size //= prime
    return size == 1


def project_gaussians(
    positions: np.ndarray,
    weights: np.ndarray,
    rotations: np.ndarray,
    shifts: np.ndarray,
    camera: Camera,
    transfer: Tensor | None = None,
) -> Tensor:
    """Images [B, D, D] (float32) of atoms under B poses.

    positions: [B or 1, n, 3] Å. weights: [B or 1, n]. rotations: [B, 3, 3]. shifts: [B, 2] Å (x, y).
    transfer: [B, P, P/2+1] from ``Camera.transfer``, or None for no CTF. The sum over all pixels of an
    uncropped image is Σ weights. Runs fastest on a few tens of images at once.
    """
    grids = np.zeros((len(rotations), camera.fine, camera.fine), dtype=np.float32)
    spread_images(grids, positions, weights, rotations, shifts, camera.step)
    return form_images(torch.from_numpy(grids), camera, transfer)


def form_images(grids: Tensor, camera: Camera, transfer: Tensor | None = None) -> Tensor:
    """Images [B, D, D] of atoms already spread on fine grids [B, F, F]."""
    # the origin is in the middle of both boxes: the signs (-1)^k that this costs cancel
    half = camera.padded // 2
    spectrum = torch.fft.rfft(grids, dim=-1)[..., : half + 1]
    spectrum = crop_axis(torch.fft.fft(spectrum, dim=-2), half, 1)
    spectrum = spectrum * (camera.atom_filter if transfer is None else transfer)
    images = torch.fft.irfft2(spectrum, s=(camera.padded, camera.padded))
    start = (camera.padded - camera.box) // 2
    return images[:, start : start + camera.box, start : start + camera.box]
