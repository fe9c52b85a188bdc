"""Area under an FSC in the form of CryoBench, so that figures can be set beside the published ones."""

import torch
from torch import Tensor

from hypermol.errors import DataError
from hypermol.metrics.fsc import curve_of_totals
from hypermol.metrics.half_shells import half_shells
from hypermol.shapes import Float


def cryobench_curve(
    first: Float[Tensor, "*b d d d"], second: Float[Tensor, "*b d d d"], mask: Float[Tensor, "d d d"] | None = None
) -> Float[Tensor, "*b s"]:
    """FSC of shells i - 1 ≤ |k| D < i at i = 1 … D/2 - 1, and 1 at i = 0 (Jeon et al. 2024; cryoDRGN's ``fsc``).

    The value at i stands for i / D cycles/pixel though its shell lies half a step below; at i = 1 is the mean of the
    map alone, so ±1. -1 to 1. One departure: a shell without any density gives 0; theirs gives 1, with which an empty
    map would be perfect. ``mask`` multiplies both. Raises DataError for maps of different or odd boxes.
    """
    if first.shape[-3:] != second.shape[-3:]:
        raise DataError(f"FSC: maps of {tuple(first.shape[-3:])} and {tuple(second.shape[-3:])} cannot be compared")
    if mask is not None:
        first, second = first * mask, second * mask
    shells = half_shells(first.shape[-1], first.device, inner=True)
    return curve_of_totals(shells, shells.transform(first), shells.transform(second)).to(first.dtype)


def cryobench_area(
    first: Float[Tensor, "*b d d d"], second: Float[Tensor, "*b d d d"], mask: Float[Tensor, "d d d"] | None = None
) -> Float[Tensor, "*b"]:
    """Area under |FSC| over 0 … (D/2 - 1)/D cycles/pixel by the trapezoid rule (Jeon et al. 2024, CryoBench).

    At best (D/2 - 1)/D = 0.492 at D = 128. Nothing learned is not 0: the first two values are 1 for any map, and
    those of noise are on average √(2/(π points)) because the sign is dropped.
    """
    return curve_area(cryobench_curve(first, second, mask))


def curve_area(curve: Float[Tensor, "*b s"], signed: bool = False) -> Float[Tensor, "*b"]:
    """The area of ``cryobench_area`` under curves [..., D/2] that are at hand.

    signed: without taking |FSC|, as CryoBench's script for one map per conformation does (its script for one map per
    image takes it); noise then scores 0.5/D on average, from the first value.
    """
    return torch.trapezoid(curve if signed else curve.abs(), dx=1 / (2 * curve.shape[-1]), dim=-1)
