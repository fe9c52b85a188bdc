"""Whether one component follows states or a curve: the map that z² adds to μ + z U.

A swing changes one component fast in its middle and hardly at its ends, where z crowds: its density has two peaks, as
that of two states has. But the middle of a swing is a map of its own, and images between two states are of one or the
other. So images are regressed on 1, z and z² in each half set by itself (normal equations as in ``linear``): what z²
adds is alike in both where the motion curves, and noise where there are states.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hypermol.imaging import rebox
from hypermol.maps import filtered
from hypermol.reconstruction.curves import first_below
from hypermol.reconstruction.insertion import Insertion
from hypermol.reconstruction.linear import LinearInsertion, LinearSums
from hypermol.reconstruction.shells import profile_volume
from hypermol.shapes import Float

CURVED = 0.2
"""Correlation above which a motion is called curved: two states gave at most 0.09, a swing at least 0.39."""
DAMPING = 0.1  # of a shell's mean weight, which bounds nearly empty nodes
LEAST_SHELLS = 4


def bend_insertion(images: Insertion, z: Float[Tensor, " n"], contrast: Float[Tensor, " n"]) -> LinearInsertion:
    """n images with the coordinates (1, z, z²), each times its contrast."""
    first = contrast[:, None] * torch.stack([torch.ones_like(z), z, z.square()], 1)
    return LinearInsertion(images, first, first[:, :, None] * first[:, None])


def bend_agreement(
    halves: Sequence[LinearSums],
    family: Float[Tensor, "c d d d"],
    mask: Float[Tensor, "d d d"],
    curve: Float[Tensor, " s"],
) -> float:
    """The correlation between two half sets of the map that z² adds: inside the mask, as far as the FSC ``curve`` of
    the component goes, and apart from ``family`` (μ, U), of which noise of z and of contrasts leaves some in it."""
    box, shells = mask.shape[-1], torch.arange(len(curve))
    agreed = (shells < max(first_below(curve, 0.143), LEAST_SHELLS)).to(curve)
    gain = agreed * curve.clamp(min=0) * 2 / (1 + curve.clamp(min=0))
    volume = profile_volume(gain, box)
    noise = (halves[0].noise() + halves[1].noise()) / 2

    def seen(map_: Tensor) -> Tensor:
        return filtered(map_ * mask, volume).double().flatten()

    axes = torch.linalg.qr(torch.stack([seen(map_) for map_ in family], 1))[0]
    bends = [seen(rebox(half.solve(noise / DAMPING)[2:], box)[0]) for half in halves]
    first, second = (bend - axes @ (axes.T @ bend) for bend in bends)
    return float(first @ second / (first.norm() * second.norm()).clamp(min=1e-30))
