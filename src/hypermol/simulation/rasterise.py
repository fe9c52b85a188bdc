"""Maps of Gaussian atoms, band-limited exactly as the images are."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hypermol.imaging import crop_axis
from hypermol.simulation.spread import OVERSAMPLING, spread_map, spreading_filter


def rasterise_gaussians(
    positions: np.ndarray, weights: np.ndarray, box: int, pixel_size: float, sigma: float
) -> Tensor:
    """The map [D, D, D] (z, y, x; float32) of atoms, summed over conformations.

    positions: [m, n, 3] Å. weights: [m, n] (for a mean over m, the weights divided by m). sigma: Å, of every
    atom. The sum over voxels is Σ weights, so that the central slice of its Fourier transform is that of an
    image made by ``project_gaussians``. Frequencies at ±Nyquist are 0. Atoms outside the box are dropped.
    """
    fine, step = box * OVERSAMPLING, pixel_size / OVERSAMPLING
    grid = np.zeros((fine, fine, fine), dtype=np.float32)
    for place, weight in zip(positions, weights):
        spread_map(grid, place, weight, step)
    spectrum = _crop(torch.fft.rfftn(torch.from_numpy(grid)), box)
    spectrum *= torch.from_numpy(_filter(box, pixel_size, sigma, step))
    return torch.fft.irfftn(spectrum, s=(box, box, box))


def _crop(spectrum: Tensor, box: int) -> Tensor:
    """The lowest frequencies of an uncentred half spectrum: [D, D, D/2+1]."""
    half = box // 2
    for axis in (0, 1):
        spectrum = crop_axis(spectrum, half, axis)
    return spectrum[..., : half + 1].clone()


def _filter(box: int, pixel_size: float, sigma: float, step: float) -> np.ndarray:
    """``spreading_filter`` is a product over the axes; 0 at ±Nyquist."""
    full, half = np.fft.fftfreq(box, pixel_size), np.fft.rfftfreq(box, pixel_size)
    along = [spreading_filter(k**2, sigma, step) for k in (full, full, half)]
    for values in along:
        values[box // 2] = 0.0
    z, y, x = along
    return (z[:, None, None] * y[:, None] * x).astype(np.float32)
