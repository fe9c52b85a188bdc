"""Does a change of the map reproduce between two halves that share nothing, and to what resolution?

Two sets of change maps come in, one from each half: how the map changes along each coordinate of that half's z. Inside
each set any rotation of the coordinates is as good, so axes are matched first: the singular vectors of the matrix of
correlations between the sets, summed over shells. Chance is what the same two sets give, matched anew in the same way,
when one of them is turned by the symmetries of the cube: these keep the power of every shell, so that matching cannot
feign reproduction, and the figure holds for all axes together.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hypermol.imaging import fft3, ifft3
from hypermol.maps import soft_sphere
from hypermol.metrics import fsc, shell_numbers
from hypermol.reconstruction.support import smooth
from hypermol.shapes import Float
from hypermol.validation.octahedral import turned_copies

LARGEST_BOX = 64
"""Chance is measured on maps Fourier-cropped to this: shells beyond 31 prove nothing that those below did not."""

THRESHOLD = 0.143
BANDS = (3, 4, 5, 6, 8, 11, 15, 21)
REAL = 5.0
"""Standard deviations above chance from which a change is taken as real. Chance is the largest of several sums, whose
tail is exponential (Gumbel 1935): 5 is passed by chance about once in a thousand times, 3 once in a hundred."""


@dataclass(frozen=True)
class Reproduction:
    """What two halves agree on, axis by axis (q, the strongest agreement first).

    first [a, q], second [b, q]: orthonormal directions among the coordinates of each half, paired. changes
    [2, q, D, D, D]: the change maps along them. significance [q]: standard deviations above chance (0: chance; below it
    is chance too; ``REAL`` and more is taken as real); chance [47]: the same of the turned copies. curve [q, D/2]: FSC
    of the two change maps; resolution [q]: Å to which they agree, infinite where they do not.
    """

    first: Float[Tensor, "a q"]
    second: Float[Tensor, "b q"]
    changes: Float[Tensor, "2 q d d d"]
    significance: Float[Tensor, " q"]
    chance: Float[Tensor, " c"]
    curve: Float[Tensor, "q s"]
    resolution: tuple[float, ...]


def reproduction(
    first: Float[Tensor, "a d d d"],
    second: Float[Tensor, "b d d d"],
    pixel_size: float,
    directions: tuple[Tensor, Tensor] | None = None,
) -> Reproduction:
    """Match and compare the change maps of two halves (at least one each; pixel size in Å).

    ``directions``: axes found before, to be kept instead of matching anew. Everything is measured inside a sphere,
    which looks the same from all sides.
    """
    box = first.shape[-1]
    edge = max(2.0, box / 16)
    sphere = soft_sphere(box, box / 2 - edge - 1, edge).to(first)
    bands = _Bands(box)
    one, two = bands.whitened(first * sphere), bands.whitened(second * sphere)
    own = bands.agreement(one, two)
    turned = [bands.agreement(bands.whitened(copy), two) for copy in turned_copies(bands.cropped(first * sphere))]
    best = torch.linalg.matrix_norm(torch.stack(turned), ord=2)  # [47, bands]
    mean, spread = best.mean(0), best.std(0).clamp(min=1e-12)
    left, right = directions or _matched(own, mean, spread)
    scores = ((torch.einsum("sab,aq,bq->sq", own, left, right) - mean[:, None]) / spread[:, None]).amax(0)
    chance = ((best - mean) / spread).amax(1)
    centre, width = chance.mean(), chance.std()
    order = torch.arange(left.shape[1]) if directions else torch.argsort(scores, descending=True)
    left, right = left[:, order], right[:, order]
    changes = torch.stack([torch.einsum("aq,azyx->qzyx", w, m) for w, m in ((left, first), (right, second))])
    curve = fsc(changes[0], changes[1], sphere)
    found = tuple(reach(row, pixel_size) for row in curve)
    return Reproduction(left, right, changes, (scores[order] - centre) / width, (chance - centre) / width, curve, found)


def reach(curve: Float[Tensor, " s"], pixel_size: float, threshold: float = THRESHOLD) -> float:
    """Å to which an FSC stays above ``threshold``, once it has been above it within the first eighth of the shells (at
    least three): a change may be faint in the innermost shells. Infinite where it never is.

    The curve is smoothed (¼, ½, ¼): a change has little signal, and one low shell is no end.
    """
    shells = len(curve)
    values = curve.double().clone()
    values[0] = values[1]
    smoothed = smooth(values).tolist()
    begin = next((s for s in range(1, max(4, shells // 8 + 1)) if smoothed[s] >= threshold), None)
    if begin is None:
        return float("inf")
    for shell in range(begin + 1, shells):
        if smoothed[shell] < threshold:
            fall = smoothed[shell - 1] - smoothed[shell]
            return 2 * shells * pixel_size / (shell - 1 + (smoothed[shell - 1] - threshold) / fall)
    return 2 * shells * pixel_size / (shells - 1)


def _matched(own: Tensor, mean: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
    """Singular vectors of the agreement [bands, a, b] in the band where the strongest stands out most from chance."""
    strongest = torch.linalg.matrix_norm(own, ord=2)
    band = int(((strongest - mean) / spread).argmax())
    left, _, right = torch.linalg.svd(own[band], full_matrices=False)
    return left, right.mT


class _Bands:
    """Correlations summed up to each of several shells, every shell whitened to its number of points."""

    def __init__(self, box: int) -> None:
        self.box, self.size = box, min(box, LARGEST_BOX)
        number = shell_numbers(self.size).flatten()
        limit = self.size // 2 - 1
        order = torch.argsort(number, stable=True)
        self.points = order[(number[order] > 0) & (number[order] <= limit)]
        self.number = number[self.points]
        self.counts = torch.bincount(self.number, minlength=limit + 1)
        self.ends = [band for band in BANDS if band < limit] + [limit]

    def cropped(self, maps: Tensor) -> Tensor:
        """Maps of at most ``LARGEST_BOX`` px, high frequencies left out."""
        margin = (maps.shape[-1] - self.size) // 2
        if margin == 0:
            return maps
        inner = slice(margin, margin + self.size)
        return ifft3(fft3(maps)[..., inner, inner, inner]).real

    def whitened(self, maps: Tensor) -> Tensor:
        """Transforms [a, points], each shell at unit power per point on average over the set (so that the sets stay
        linear: a mixture of maps is the mixture of their rows)."""
        values = fft3(self.cropped(maps)).flatten(-3)[:, self.points]
        power = torch.zeros(len(self.counts), dtype=values.real.dtype)
        power.index_add_(0, self.number, values.abs().square().mean(0))
        scale = (power / self.counts.clamp(min=1)).clamp(min=1e-30).rsqrt()
        return values * scale[self.number]

    def agreement(self, first: Tensor, second: Tensor) -> Tensor:
        """[bands, a, b]: Σ Re(x y*) over shells 1 … band, over the square root of the number of points."""
        ends = torch.cumsum(self.counts, 0)
        total, begin, rows = torch.zeros(len(first), len(second), dtype=first.real.dtype), 0, []
        for band in self.ends:
            end = int(ends[band])
            total = total + (first[:, begin:end] @ second[:, begin:end].conj().mT).real
            rows.append(total / end**0.5)
            begin = end
        return torch.stack(rows)
