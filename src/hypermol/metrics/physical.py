"""The physical distance between conformations, ‖V(z) - V(z')‖: it means the same whatever the coordinates of z are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from hypermol.errors import DataError
from hypermol.shapes import Float

CHUNK = 2**17
"""Voxels taken at once, so that double precision does not double the memory."""


def map_distances(
    maps: Float[Tensor, "n d d d"], mask: Float[Tensor, "d d d"] | None = None
) -> Float[np.ndarray, "n n"]:
    """‖m(V_i - V_j)‖ = √(Σ over voxels (m (V_i - V_j))²) of n maps, in the maps' unit of density; 0 for the same map.

    Differences below single precision of the maps themselves count as 0, so that equal maps are exactly equal.
    """
    return _distances(maps, maps[:0], mask)


def cross_distances(
    first: Float[Tensor, "n d d d"], second: Float[Tensor, "m d d d"], mask: Float[Tensor, "d d d"] | None = None
) -> Float[np.ndarray, "n m"]:
    """``map_distances`` from each map of ``first`` to each of ``second``; both in one frame and on one scale.

    See ``same_scale`` for maps whose density units differ, as those of two programs.
    """
    return _distances(first, second, mask)[: len(first), len(first) :]


def same_scale(
    maps: Float[Tensor, "n d d d"], reference: Float[Tensor, "m d d d"], mask: Float[Tensor, "d d d"] | None = None
) -> Float[Tensor, "n d d d"]:
    """Maps times the one factor that brings their mean closest to that of ``reference`` (least squares in the mask).

    One factor for all: differences between the maps keep their proportions. Raises DataError where the means do not
    correlate positively, for then no factor helps (inverted contrast, or maps that are not aligned).
    """
    mean, target = maps.double().mean(0), reference.double().mean(0)
    if mask is not None:
        mean, target = mean * mask, target * mask
    along = float((mean * target).sum())
    if along <= 0:
        raise DataError("same_scale: the mean maps do not correlate; are both sets aligned and of the same contrast?")
    return maps * (along / float((mean * mean).sum()))


def _distances(first: Tensor, second: Tensor, mask: Tensor | None) -> Float[np.ndarray, "k k"]:
    count = len(first) + len(second)
    products = torch.zeros(count, count, dtype=torch.float64)
    energy = torch.zeros(count, dtype=torch.float64)
    for voxels in _chunks(first, second, mask):
        energy += voxels.square().sum(1).cpu()
        # the mean map cancels in each difference; without it the products are small and lose no digits
        centred = voxels - voxels.mean(0)
        products += (centred @ centred.T).cpu()
    products = (products + products.T) / 2
    own = products.diagonal()
    square = own[:, None] + own - 2 * products
    rounding = torch.finfo(torch.float32).eps ** 2 * (energy[:, None] + energy) / 2
    square = torch.where(square > rounding, square, torch.zeros_like(square))
    return square.fill_diagonal_(0.0).sqrt().numpy()


def _chunks(first: Tensor, second: Tensor, mask: Tensor | None) -> Iterator[Tensor]:
    """Voxels [first and second, chunk] in double precision."""
    flat = [maps.flatten(1) for maps in (first, second)]
    weight = None if mask is None else mask.flatten()
    for start in range(0, flat[0].shape[1], CHUNK):
        part = slice(start, start + CHUNK)
        voxels = torch.cat([maps[:, part] for maps in flat]).double()
        yield voxels if weight is None else voxels * weight[part]
