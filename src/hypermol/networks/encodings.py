"""Positional encodings of a spatial frequency k (cycles/pixel) for coordinate networks."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor, nn

from hypermol.shapes import Float


class GeometricEncoding(nn.Module):
    """Sines and cosines of each component of k, wavelengths in a geometric series (Zhong et al. 2020, eq. 7-8).

    D/2 frequencies from D·π·(2/D)^(2/D) down to 2π, where D is the box size: the support runs from the whole box
    to Nyquist. ``highest``: the share of the series that is kept from its low end (0.9 for noisy data).
    """

    frequency: Tensor

    def __init__(self, box: int, highest: float = 1.0) -> None:
        super().__init__()
        index = torch.arange(1, box // 2 + 1, dtype=torch.float64)
        series = box * math.pi * (2.0 / box) ** (2 * index / box)
        kept = series[len(series) - round(highest * len(series)) :]
        self.register_buffer("frequency", kept.to(torch.float32), persistent=False)
        self.size = 6 * len(kept)

    def forward(self, k: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b f"]:
        phase = (k.unsqueeze(-1) * self.frequency.to(k)).flatten(-2)
        return torch.cat([phase.sin(), phase.cos()], -1)


class GaussianEncoding(nn.Module):
    """Random Fourier features: sines and cosines of 2π k·r, r spread once over N(0, (width·D)²) pixels per axis.

    Tancik et al. 2020. Each feature is the transform of a point at r, so ``width`` should match the molecule's extent:
    cryoDRGN's default (feature sigma 0.5) is width 0.04, a twenty-fifth of the box, and learns detail slowly. Where no
    point lies is learned slowly too (independent draws: up to 0.02 of FSC after three epochs), so they are spread
    evenly. ``features``: number of points, by default 3 D/2, as many as the geometric series has. Drawn from ``seed``.
    """

    frequency: Tensor

    def __init__(self, box: int, features: int | None = None, width: float = 0.15, seed: int = 0) -> None:
        super().__init__()
        points = width * box * _spread_normal(features or 3 * (box // 2), seed)
        self.register_buffer("frequency", 2 * math.pi * points.T.contiguous())
        self.size = 2 * len(points)

    def forward(self, k: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b f"]:
        phase = k @ self.frequency.to(k.dtype)
        return torch.cat([phase.sin(), phase.cos()], -1)


@cache
def _spread_normal(count: int, seed: int, cloud: int = 20_000, rounds: int = 20) -> Float[Tensor, "c 3"]:
    """Points of a normal distribution, root mean square 1 per axis, none near another or near another's opposite (r and
    -r make one feature): centroids of draws (Lloyd 1982, IEEE Trans. Inf. Theory 28:129)."""
    generator = torch.Generator().manual_seed(seed)
    draws = torch.randn(max(cloud, count), 3, generator=generator, dtype=torch.float64)
    points = draws[:count]
    for _ in range(rounds):
        nearest = torch.cat([draws @ part.T for part in (points, -points)], 1) - points.square().sum(1).repeat(2) / 2
        cell = nearest.argmax(1)
        side = torch.where(cell < count, 1.0, -1.0).to(draws.dtype)
        sums = torch.zeros_like(points).index_add_(0, cell % count, draws * side.unsqueeze(1))
        points = sums / torch.bincount(cell % count, minlength=count).clamp(min=1).unsqueeze(1)
    return (points / points.square().mean().sqrt()).float()
