"""Correlation of maps in real space."""

import torch
from torch import Tensor

from hypermol.errors import DataError
from hypermol.shapes import Float


def map_correlation(
    first: Float[Tensor, "*b d d d"], second: Float[Tensor, "*b d d d"], mask: Float[Tensor, "d d d"] | None = None
) -> Float[Tensor, "*b"]:
    """Pearson's correlation of two maps over the voxels of a mask (a soft mask weighs them; none: the whole box).

    -1 to 1: 1 for maps equal up to scale and offset, 0 for unrelated ones and where a map is constant in the mask.
    Weighted means are taken out, unlike FSC's (Pearson 1895; CC_mask of Afonine et al. 2018 is this with a binary
    mask). Raises DataError for maps of different boxes, a mask with negative weights or without any.
    """
    if first.shape[-3:] != second.shape[-3:]:
        raise DataError(f"correlation: maps of {tuple(first.shape[-3:])} and {tuple(second.shape[-3:])}")
    a, b = first.flatten(-3).double(), second.flatten(-3).double()
    weight = a.new_ones(a.shape[-1]) if mask is None else mask.flatten().double()
    total = float(weight.sum())
    if float(weight.min()) < 0 or not total > 0:
        raise DataError(f"correlation: expected a mask of weights ≥ 0, some above; found a sum of {total}")
    weight = weight / total
    (a, power_a), (b, power_b) = _centred(a, weight), _centred(b, weight)
    found = (weight * a * b).sum(-1) / (power_a * power_b).sqrt()
    return torch.where(power_a * power_b > 0, found, torch.zeros_like(found)).to(first.dtype)


def _centred(values: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Values less their weighted mean, and their weighted variance; 0 where that is rounding of a constant."""
    centred = values - (weight * values).sum(-1, keepdim=True)
    variance = (weight * centred.square()).sum(-1)
    rounding = 1e-24 * (weight * values.square()).sum(-1)
    return centred, torch.where(variance > rounding, variance, torch.zeros_like(variance))
