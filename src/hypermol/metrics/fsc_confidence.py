"""How certain is each value of an FSC: half sets are cut into parts, and the parts are resampled.

A part is the map of some of a half's particles (eight or more parts a half, of equal size, by the same poses). All
resampling is done on the parts' inner products per shell: no map is built twice, and a mask is fully accounted for.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hypermol.errors import ConfigError, DataError
from hypermol.metrics.fsc import resolution
from hypermol.metrics.shell_products import mixed_fsc, shell_products
from hypermol.shapes import Float


@dataclass(frozen=True)
class FscInterval:
    """FSC of the two half maps per shell, and the limits between which the FSC without chance lies at ``level``."""

    curve: Float[Tensor, " s"]
    low: Float[Tensor, " s"]
    high: Float[Tensor, " s"]
    level: float

    def resolution(self, pixel_size: float, threshold: float = 0.143) -> tuple[float, float, float]:
        """Å where (high limit, curve, low limit) fall below ``threshold``: finest, best guess, coarsest."""
        finest, guess, coarsest = (resolution(c, pixel_size, threshold) for c in (self.high, self.curve, self.low))
        return finest, guess, coarsest


def fsc_interval(
    first: Float[Tensor, "g d d d"],
    second: Float[Tensor, "h d d d"],
    mask: Float[Tensor, "d d d"] | None = None,
    level: float = 0.95,
) -> FscInterval:
    """Confidence limits per shell of the FSC between two half maps, each the mean of its independent parts.

    Jackknife over parts (Efron & Stein 1981): each part is left out in turn, the spread of atanh(FSC) is summed over
    both halves, Student's t with g + h - 2 degrees of freedom sets the width (Fisher's z keeps the limits in -1 … 1).
    Where nothing correlates the limits are up to √2 too wide (there the FSC is not linear in the parts). Shell 0 is 1.

    Raises DataError for fewer than two parts on a side, ConfigError for a level not between 0 and 1.
    """
    from scipy.stats import t as student

    if not 0 < level < 1:
        raise ConfigError(f"FSC interval: expected a level between 0 and 1, found {level}")
    sizes = len(first), len(second)
    if min(sizes) < 2:
        raise DataError(f"FSC interval: expected two or more parts of each half set, found {sizes[0]} and {sizes[1]}")
    products = shell_products(torch.cat([first, second]), mask)
    whole = [_side(sizes, side) for side in (0, 1)]
    curve = mixed_fsc(products, whole[0], whole[1])
    variance = torch.zeros_like(curve)
    for side, size in enumerate(sizes):
        weights = [w.expand(size, -1) for w in whole]
        weights[side] = _left_out(sizes, side)
        z = _fisher(mixed_fsc(products, weights[0], weights[1]))
        variance += (size - 1) / size * (z - z.mean(0)).square().sum(0)
    width = float(student.ppf((1 + level) / 2, sum(sizes) - 2)) * variance.sqrt()
    low, high = torch.tanh(_fisher(curve) - width), torch.tanh(_fisher(curve) + width)
    low[0] = high[0] = 1.0
    return FscInterval(curve, low, high, level)


def resampled_fsc(
    parts: Float[Tensor, "g d d d"],
    mask: Float[Tensor, "d d d"] | None = None,
    draws: int = 200,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "n s"]:
    """FSC [draws, D/2] of random half sets: the parts are dealt anew into two equal halves each time.

    Their spread is what the choice of half sets alone makes; it leaves out that the particles themselves are a sample
    (``fsc_interval`` has both). The parts must not share anything inferred from each other. Raises DataError for an odd
    number of parts or fewer than four.
    """
    count = len(parts)
    if count < 4 or count % 2:
        raise DataError(f"resampled half sets: expected an even number of parts, four or more, found {count}")
    rank = torch.rand(draws, count, generator=generator).argsort(1)
    chosen = (rank < count // 2).double() * 2 / count
    return mixed_fsc(shell_products(parts, mask), chosen, 2 / count - chosen)


def _side(sizes: tuple[int, int], side: int) -> Tensor:
    """Weights of the mean of one side's parts."""
    weights = torch.zeros(sum(sizes), dtype=torch.float64)
    start = sizes[0] * side
    weights[start : start + sizes[side]] = 1 / sizes[side]
    return weights


def _left_out(sizes: tuple[int, int], side: int) -> Tensor:
    """Weights of the mean of one side's parts without the first, without the second, …"""
    size, start = sizes[side], sizes[0] * side
    weights = torch.zeros(size, sum(sizes), dtype=torch.float64)
    weights[:, start : start + size] = (1 - torch.eye(size, dtype=torch.float64)) / (size - 1)
    return weights


def _fisher(curve: Tensor) -> Tensor:
    return torch.atanh(curve.clamp(-1 + 1e-12, 1 - 1e-12))
