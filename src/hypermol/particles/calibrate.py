"""Normalisation, contrast sign and noise of a data set, estimated from a sample of its images in one reading."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from hypermol.imaging.fourier import fourier_crop
from hypermol.imaging.noise import corner_spectrum
from hypermol.particles.contrast import choose_sign, contrast_sigma
from hypermol.particles.model import Particles
from hypermol.particles.prepare import Calibration, Preparation, check_preparation, soft_window
from hypermol.shapes import Float, Int

BACKGROUND_RADIUS = 0.45
_CORNER_PX = 5.0
FEW_IMAGES = 8
EMPTY_CORNERS = 1e-6
_FLOOR = 1e-6


@dataclass
class _Sums:
    """Float64 sums over the images of one optics group: pixels outside the particle's circle, all pixels, noise."""

    images: int = 0
    outside: torch.Tensor | None = None
    whole: torch.Tensor | None = None
    spectrum: torch.Tensor | None = None

    def add(self, other: _Sums) -> None:
        self.images += other.images
        for name in ("outside", "whole", "spectrum"):
            mine, theirs = getattr(self, name), getattr(other, name)
            setattr(self, name, theirs if mine is None else mine if theirs is None else mine + theirs)


def calibrate(
    particles: Particles,
    preparation: Preparation,
    sample: Iterable[tuple[Float[torch.Tensor, "n d d"], Int[torch.Tensor, " n"]]],
) -> Calibration:
    """Estimate normalisation, sign and noise from chunks of raw images and the optics group of each.

    Without images (all unfit, which the caller reports) nothing is changed and the noise is 1. Raises
    ConfigError where the preparation is impossible for these images.
    """
    target = check_preparation(preparation, particles.box)
    sums = [_Sums() for _ in particles.optics_names]
    contrast, images = 0.0, 0
    for pixels, groups in sample:
        contrast += contrast_sigma(pixels) * len(pixels) ** 0.5
        images += len(pixels)
        for group in torch.unique(groups).tolist():
            sums[group].add(_sums(pixels[groups == group], target))
    if not images:
        none = torch.zeros(len(sums))
        return Calibration(none, none + 1, 1, 0.0, torch.ones(len(sums), target // 2), ())
    sigma = contrast / images**0.5
    sign, reason = choose_sign(preparation.sign, particles.sign, sigma)
    notes = [reason]
    offset, scale = _affine(sums, notes)
    noise = _noise(sums) / scale[:, None].double() ** 2
    if not preparation.normalise:
        noise, offset, scale = noise * scale[:, None] ** 2, torch.zeros_like(offset), torch.ones_like(scale)
    if preparation.window is not None:
        noise = noise * soft_window(particles.box, preparation).square().mean().to(noise.device)
    return Calibration(offset, scale, sign, sigma, noise.float(), tuple(notes))


def background_radius(box: int) -> float:
    """Pixels farther from the centre than this (px) are background: 0.45 D, less where corners would be tiny."""
    return min(BACKGROUND_RADIUS * box, box / 2**0.5 - _CORNER_PX)


def _sums(pixels: torch.Tensor, target: int) -> _Sums:
    box = pixels.shape[-1]
    axis = torch.arange(box, device=pixels.device) - box // 2
    outside = (axis[:, None] ** 2 + axis[None, :] ** 2) > background_radius(box) ** 2
    # the affine map changes this spectrum by its scale only: the window's own mean is taken off in it
    spectrum = corner_spectrum(fourier_crop(pixels, target), background_radius(target)).double()
    whole = _moments(pixels.flatten())
    return _Sums(len(pixels), _moments(pixels[:, outside].flatten()), whole, spectrum * len(pixels))


def _moments(values: torch.Tensor) -> torch.Tensor:
    wide = values.double()
    return torch.stack([wide.new_tensor(float(len(wide))), wide.sum(), wide.square().sum()])


def _affine(sums: list[_Sums], notes: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation of each group's background (of all groups' for a group without images)."""
    total = _total(sums)
    empty = _spread(total.outside)[1] ** 2 < EMPTY_CORNERS * _spread(total.whole)[1] ** 2
    if empty:
        notes.append("the corners of the images are empty (masked?): whole images are used for normalisation")
    chosen = [(s if s.images else total) for s in sums]
    table = torch.stack([torch.stack(_spread(s.whole if empty else s.outside)) for s in chosen]).float()
    fallback = _spread(total.whole if empty else total.outside)[1].float()
    return table[:, 0], torch.where(table[:, 1] > 0, table[:, 1], fallback)


def _noise(sums: list[_Sums]) -> torch.Tensor:
    """σ² of raw images per group and shell; groups of few images take the spectrum of all. Kept above a millionth
    of its largest value, so that empty shells or corners divide nothing by zero."""
    total = _total(sums)
    pooled = _mean_spectrum(total)
    noise = torch.stack([_mean_spectrum(s) if s.images >= FEW_IMAGES else pooled for s in sums])
    variance = _spread(total.whole)[1] ** 2 * (2 * noise.shape[1]) ** 2  # D² × pixel variance
    floor = torch.maximum(noise.amax(dim=1, keepdim=True), variance * 1e-3)
    return torch.maximum(noise, _FLOOR * floor)


def _mean_spectrum(sums: _Sums) -> torch.Tensor:
    return torch.zeros(0) if sums.spectrum is None else sums.spectrum / sums.images


def _spread(moments: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    if moments is None:
        return torch.zeros(()), torch.zeros(())
    count, total, squares = moments
    mean = total / count
    return mean, torch.sqrt(torch.clamp(squares / count - mean**2, min=0))


def _total(sums: list[_Sums]) -> _Sums:
    total = _Sums()
    for one in sums:
        total.add(one)
    return total
