"""Radial Wiener gains from two half maps: in Fourier space from the FSC, in real space from its counterpart there."""

import torch
from torch import Tensor

from hypermol.maps import filtered
from hypermol.reconstruction.shells import profile_volume
from hypermol.shapes import Float

FAINTEST_FSC = 0.02
"""A final map keeps this much (a gain of 0.04) of every shell: one that ends abruptly cannot be masked, or compared
with another, without leaking from its strong shells."""

_FSC_RANGE = 1e-3, 1 - 1e-3


def fourier_gain(fsc: Float[Tensor, " s"]) -> Float[Tensor, " s"]:
    """2F/(1 + F) per shell: the Wiener gain of the sum of two half maps (Rosenthal & Henderson 2003), smoothed."""
    limited = smooth(fsc.double()).clamp(FAINTEST_FSC, 1)
    return 2 * limited / (1 + limited)


def real_space_gain(
    first: Float[Tensor, "d d d"], second: Float[Tensor, "d d d"], gain: Float[Tensor, " s"]
) -> Float[Tensor, "d d d"]:
    """2ρ/(1 + ρ) at each radius from the centre, ρ the correlation of the half maps (filtered by ``gain``) on a sphere
    of that radius; 0 outside the sphere of the box.

    The same filter as in Fourier space, for a prior that knows how the variance of the density falls with radius:
    1 where the molecule is, whatever its shape, and 0 in the empty solvent around it. Unlike a mask around the
    density it cannot cut off a faint moving part at a radius where anything is seen.
    """
    box = first.shape[-1]
    shape = profile_volume(gain, box)
    first, second = filtered(first, shape), filtered(second, shape)
    radius = _radius(box).to(first.device)
    cross, one, two = (_radial_total(values, radius) for values in (first * second, first**2, second**2))
    correlation = (cross / torch.sqrt(one * two).clamp(min=1e-30)).clamp(0, 1)
    profile = 2 * correlation / (1 + correlation)
    low = radius.long()
    step = radius - low
    value = profile[low] * (1 - step) + profile[low + 1] * step
    rim = 0.5 + 0.5 * torch.cos(torch.pi * ((radius - (box / 2 - box / 16)) / (box / 16)).clamp(0, 1))
    return (value * rim).to(first.dtype)


def masked_within_gain(
    map_: Float[Tensor, "d d d"], gain: Float[Tensor, " s"], mask: Float[Tensor, "d d d"], faintest: float
) -> Float[Tensor, "d d d"]:
    """A map that was damped by ``gain`` per shell, masked as if the mask had come first: noise at the mask's edge would
    otherwise leak from strong shells into damped ones. Gains below ``faintest`` are taken for that."""
    box, gain = map_.shape[-1], gain.clamp(min=faintest)
    return filtered(filtered(map_, profile_volume(1 / gain, box)) * mask, profile_volume(gain, box))


def signal_to_noise(fsc: Float[Tensor, " s"]) -> Float[Tensor, " s"]:
    """F/(1 - F) of a half map per shell, float64; F smoothed and limited to 0.001 … 0.999."""
    limited = smooth(fsc.double()).clamp(*_FSC_RANGE)
    return limited / (1 - limited)


def smooth(curve: Float[Tensor, " s"]) -> Float[Tensor, " s"]:
    """¼, ½, ¼ over neighbours, the ends repeated: a jagged gain would ring in the other space."""
    padded = torch.cat([curve[:1], curve, curve[-1:]])
    return padded[:-2] / 4 + padded[1:-1] / 2 + padded[2:] / 4


def _radius(box: int) -> Tensor:
    axis = (torch.arange(box) - box // 2).double()
    return torch.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)


def _radial_total(values: Tensor, radius: Tensor) -> Tensor:
    """Sums over spheres of whole-pixel radius and their neighbours (the innermost hold too little alone), float64; one
    more than the largest, so that all can be read between."""
    index = torch.round(radius).long().flatten()
    total = torch.zeros(int(index.max()) + 2, dtype=torch.float64, device=values.device)
    total.index_add_(0, index, values.double().flatten())
    near = torch.nn.functional.pad(total, (1, 1))
    return near[:-2] + 2 * near[1:-1] + near[2:]
