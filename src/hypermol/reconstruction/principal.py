"""The gauge and the prior of principal volumes: z → A z changes nothing, so one A is chosen and kept.

z has unit variance, components are orthogonal in real space and ordered by their power, and those of half 1 are
turned to fit those of half 0 before anything is compared between the halves.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hypermol.reconstruction.support import signal_to_noise
from hypermol.shapes import Float


def whitened(
    maps: Float[Tensor, "c d d d"], first: Float[Tensor, " c"], second: Float[Tensor, "c c"]
) -> Float[Tensor, "c d d d"]:
    """Maps (μ, U) of coordinates with mean 0 and covariance 1, given the present moments E[ẑ] and E[ẑẑᵀ], ẑ_0 = 1.

    z = m + S^½ y: μ takes up m, U is multiplied by S^½.
    """
    mean = first[1:] / first[0]
    covariance = second[1:, 1:] / second[0, 0] - mean[:, None] * mean
    values, vectors = torch.linalg.eigh(covariance.double())
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    centre = maps[0] + torch.tensordot(mean.to(maps), maps[1:], 1)
    return torch.cat([centre[None], torch.tensordot(root.to(maps), maps[1:], 1)])


def turned_alike(
    first: Float[Tensor, "c d d d"], second: Float[Tensor, "c d d d"], weight: Float[Tensor, "d d d"]
) -> tuple[Float[Tensor, "c d d d"], Float[Tensor, "c d d d"]]:
    """The components of two halves turned so that the second fits the first (Schönemann 1966), and both so that their
    average is orthogonal and ordered by power; overlaps are taken inside ``weight``."""
    u, v = (first[1:] * weight).flatten(1), (second[1:] * weight).flatten(1)
    left, _, right = torch.linalg.svd((u @ v.T).double())
    fitted = (left @ right).to(v)
    average = (u + fitted @ v) / 2
    order = _principal_axes(average)
    turns = order, order @ fitted
    return tuple(
        torch.cat([maps[:1], torch.tensordot(turn, maps[1:], 1)])
        for maps, turn in zip((first, second), turns, strict=True)
    )  # type: ignore[return-value]


def ordered(maps: Float[Tensor, "c d d d"]) -> Float[Tensor, "c d d d"]:
    """Components turned to be orthogonal and ordered by power; a mean alone is returned as it is."""
    if len(maps) == 1:
        return maps
    turn = _principal_axes(maps[1:].flatten(1))
    return torch.cat([maps[:1], torch.tensordot(turn, maps[1:], 1)])


def power_from_fsc(fsc: Float[Tensor, "c s"], noise: Float[Tensor, "c s"]) -> Float[Tensor, "c s"]:
    """τ² = F/(1 - F) · noise of a half map, per channel and shell; F smoothed and limited to 0.001 … 0.999."""
    return torch.stack([signal_to_noise(curve) for curve in fsc]) * noise


def _principal_axes(rows: Float[Tensor, "k n"]) -> Float[Tensor, "k k"]:
    """The rotation of rows that makes them orthogonal, largest first; each axis keeps its sign where it can."""
    _, vectors = torch.linalg.eigh((rows @ rows.T).double())
    turn = vectors.flip(1).T
    leading = turn.gather(1, turn.abs().argmax(1, keepdim=True))
    return (turn * leading.sign()).to(rows)
