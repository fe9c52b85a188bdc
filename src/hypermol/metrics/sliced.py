"""Sliced Wasserstein distance of two samples of many numbers: the mean over directions of that along each."""

from __future__ import annotations

import torch
from torch import Tensor

from hypermol.errors import DataError
from hypermol.shapes import Float


def sliced_wasserstein(
    first: Float[Tensor, "n f"], second: Float[Tensor, "n f"], directions: Float[Tensor, "f k"]
) -> Float[Tensor, ""]:
    """Mean over k directions (made unit vectors) of the 1-Wasserstein distance of the projections (Bonneel et al. 2015,
    J. Math. Imaging Vis. 51:22), in the values' unit.

    Both samples have n rows, so along a direction the sorted values are paired. 0 only for equal samples: two of one
    distribution are about n^(-1/2) of its deviation apart. Raises DataError for samples of different shapes or none.
    """
    if first.shape != second.shape or len(first) == 0:
        shapes = f"{tuple(first.shape)} and {tuple(second.shape)}"
        raise DataError(f"sliced Wasserstein: expected two samples of the same size, found {shapes}")
    unit = torch.nn.functional.normalize(directions, dim=0)
    return ((first @ unit).sort(0).values - (second @ unit).sort(0).values).abs().mean()
