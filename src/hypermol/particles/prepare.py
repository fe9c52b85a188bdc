"""From raw pixels to packed Fourier images: sign, normalisation, window, Fourier crop."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hypermol.errors import ConfigError
from hypermol.imaging.fourier import images_to_packed
from hypermol.imaging.lattice import Lattice
from hypermol.shapes import Complex, Float, Int


@dataclass(frozen=True)
class Preparation:
    """What is done to images before they are used.

    box        Fourier-crop to this many pixels (None keeps the box); the pixel size becomes p·D/box
    window     radius of a soft circular window as a fraction of D/2 (1 touches the edge), or None
    window_edge  width of its cosine edge, as a fraction of D/2
    normalise  subtract the background mean and divide by its deviation, one affine map per optics group
    sign       +1, -1, or "auto": from the file, else detected and flipped only where clear (5σ)
    sample_seed  draws the images from which normalisation, sign and noise are estimated
    """

    box: int | None = None
    window: float | None = None
    window_edge: float = 0.1
    normalise: bool = True
    sign: int | str = "auto"
    sample_seed: int = 0


@dataclass(frozen=True, eq=False)
class Calibration:
    """What the sample said: x → sign · (x - offset_g) / scale_g for optics group g, and the noise that remains.

    offset, scale Float32 [G];  noise Float32 [G, S], σ²(|k|) of the prepared images (DESIGN §2), S = box/2;
    sigma is the contrast before any flip; notes say in words what was decided and what was odd.
    """

    offset: Float[torch.Tensor, " G"]
    scale: Float[torch.Tensor, " G"]
    sign: int
    sigma: float
    noise: Float[torch.Tensor, "G S"]
    notes: tuple[str, ...]


def check_preparation(preparation: Preparation, box: int) -> int:
    """The box after cropping. Raises ConfigError where box or window cannot be."""
    target = box if preparation.box is None else preparation.box
    if target % 2 or not 8 <= target <= box:
        raise ConfigError(f"box: expected an even number from 8 to {box} (the images' own), found {target}")
    if preparation.window is not None and not 0 < preparation.window <= 1.5:
        raise ConfigError(
            f"window: expected a radius above 0 and up to 1.5 of half the box, found {preparation.window}"
        )
    return target


def prepare(
    pixels: Float[torch.Tensor, "n d d"],
    groups: Int[torch.Tensor, " n"],
    calibration: Calibration,
    preparation: Preparation,
    lattice: Lattice,
) -> Complex[torch.Tensor, "n P"]:
    """Packed images. ``lattice`` is that of the cropped box; cropping is leaving out high frequencies.

    A crop from D to D′ divides the number of pixels that are summed, so values are rescaled by (D′/D)².
    """
    box = pixels.shape[-1]
    factor = (calibration.sign / calibration.scale)[groups, None, None]
    normal = (pixels - calibration.offset[groups, None, None]) * factor
    if preparation.window is not None:
        normal = normal * soft_window(box, preparation).to(normal.device)
    if lattice.box == box:
        return images_to_packed(normal, lattice)
    full = Lattice.disc(box, band_limit=lattice.band_limit, device=pixels.device)
    return images_to_packed(normal, full) * (lattice.box / box) ** 2


def soft_window(box: int, preparation: Preparation) -> Float[torch.Tensor, "d d"]:
    """1 inside the window's radius, 0 beyond radius + edge, half a cosine between; Float32 [D, D]."""
    axis = torch.arange(box, dtype=torch.float32) - box // 2
    radius = torch.sqrt(axis[:, None] ** 2 + axis[None, :] ** 2) / (box / 2)
    ramp = ((radius - (preparation.window or 0.0)) / max(preparation.window_edge, 1e-6)).clamp(0, 1)
    return 0.5 + 0.5 * torch.cos(torch.pi * ramp)
