"""Noise spectra: σ²(shell) = E|N(k)|² of the unscaled transform, D² × pixel variance if white (DESIGN §2)."""

import torch
from torch import Tensor

from hypermol.errors import ConfigError
from hypermol.imaging.fourier import images_to_packed
from hypermol.imaging.lattice import Lattice
from hypermol.shapes import Float

_CHUNK = 256
_EDGE_PX = 3.0


def radial_mean(power: Float[Tensor, "*batch p"], lattice: Lattice) -> Float[Tensor, "*batch s"]:
    """Mean over each shell 0 … band_limit; 0 where a shell holds no point."""
    shells = lattice.band_limit + 1
    total = power.new_zeros((*power.shape[:-1], shells)).index_add(-1, lattice.shell, power)
    count = torch.bincount(lattice.shell, minlength=shells).clamp(min=1)
    return total / count.to(power.dtype)


def per_pixel(spectrum: Float[Tensor, "*batch s"], lattice: Lattice) -> Float[Tensor, "*batch p"]:
    """The value of each point's shell. Raises ConfigError where the spectrum is too short for the lattice."""
    if spectrum.shape[-1] <= lattice.band_limit:
        raise ConfigError(
            f"noise spectrum: expected at least {lattice.band_limit + 1} shells for this lattice, "
            f"found {spectrum.shape[-1]}"
        )
    return spectrum[..., lattice.shell]


def corner_spectrum(images: Float[Tensor, "n d d"], radius_px: float) -> Float[Tensor, " s"]:
    """σ² of shells 0 … D/2 - 1 from the pixels farther than ``radius_px`` from the centre of each image.

    The corners are cut out by a soft window (a sharp one would leak strong low frequencies into weak high
    ones) and their mean removed; the power is divided by what white noise of unit variance would leave at
    each point. Shell 0, which the mean takes away, repeats shell 1. Sums are float64 over chunks of fixed
    size. Raises ConfigError where nothing lies outside.
    """
    box = images.shape[-1]
    window = _outside(box, radius_px)
    area = float(window.square().sum())
    if area < 8 or images.shape[0] == 0:
        raise ConfigError(
            f"noise from corners: {images.shape[0]} images of {box} px leave {area:.0f} px outside a "
            f"radius of {radius_px:g} px; use a smaller radius"
        )
    lattice = Lattice.disc(box, dtype=images.dtype, device=images.device)
    gain = _white_gain(window, lattice.to(device="cpu", dtype=torch.float64)).to(images.device)
    window = window.to(images)
    total = torch.zeros(lattice.band_limit + 1, dtype=torch.float64, device=images.device)
    for chunk in images.split(_CHUNK):
        mean = (chunk * window).sum((-2, -1), keepdim=True) / window.sum()
        power = images_to_packed((chunk - mean) * window, lattice).abs().square().double()
        total += radial_mean(power / gain, lattice).sum(0)
    spectrum = total / images.shape[0]
    spectrum[0] = spectrum[min(1, lattice.band_limit)]
    return spectrum.to(images.dtype)


def _white_gain(window: Tensor, lattice: Lattice) -> Tensor:
    """E|FT(m (x - mean))|² / D² of white noise x of unit variance, mean = Σmx / Σm; infinite at the origin."""
    own, squared = images_to_packed(window, lattice), images_to_packed(window.square(), lattice)
    ratio = own / own[0]
    power = squared[0].real * (1 + ratio.abs().square()) - 2 * (ratio.conj() * squared).real
    power[0] = torch.inf
    return power / lattice.box**2


def _outside(box: int, radius_px: float) -> Tensor:
    """0 inside the radius, 1 from three pixels farther, a raised cosine between."""
    axis = torch.arange(box, dtype=torch.float64) - box // 2
    radius = torch.hypot(axis[:, None], axis[None, :])
    ramp = ((radius - radius_px) / _EDGE_PX).clamp(0, 1)
    return 0.5 - 0.5 * torch.cos(torch.pi * ramp)
