"""The images of a batch as models on Fourier grids see them, and what they say of each map."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from hypermol.kernels import slice_moments, slice_separate
from hypermol.reconstruction import Insertion, insertion


@dataclasses.dataclass(frozen=True)
class Images:
    """The n valid images of B particles ready for slicing and insertion; owner [n]: the particle of each; half [B]."""

    parts: Insertion
    owner: Tensor
    half: Tensor

    @staticmethod
    def of(batch: Any, oversampling: int) -> Images:
        """Raises DataError where the batch has no poses."""
        return Images(insertion(batch, oversampling), torch.nonzero(batch.valid)[:, 0], batch.half)

    def coarser(self, band: int) -> Images:
        """The same up to a shell, on the smallest grid that holds it."""
        box = smallest_box(band, self.parts.lattice.box)
        return dataclasses.replace(self, parts=self.parts.coarser(band, box))

    def moments(self, grids: Sequence[Tensor], which: Tensor) -> tuple[Tensor, Tensor]:
        """Gram matrices [B, C, C] and projections [B, C] of all maps (``kernels.slice_moments``), summed over the
        images of each particle. ``which`` [B]: the grid that each particle is held to."""
        return self._summed(slice_moments, grids, which)

    def separate(self, grids: Sequence[Tensor], which: Tensor) -> tuple[Tensor, Tensor]:
        """Power and overlap [B, C] of each map by itself (``kernels.slice_separate``), summed alike."""
        return self._summed(slice_separate, grids, which)

    def _summed(self, kernel: Callable[..., Any], grids: Sequence[Tensor], which: Tensor) -> tuple[Tensor, Tensor]:
        parts, kind = self.parts, which[self.owner]
        totals: list[Tensor] = []
        for number, grid in enumerate(grids):
            some = torch.nonzero(kind == number)[:, 0]
            data = parts.numerator[some], parts.weight[some], parts.rotation[some], parts.lattice.k
            found = kernel(grid, *data, parts.lattice.box, parts.oversampling)
            totals = totals or [one.new_zeros(len(which), *one.shape[1:]) for one in found]
            for total, one in zip(totals, found, strict=True):
                total.index_add_(0, self.owner[some], one)
        first, second = totals
        return first, second


def smallest_box(band: int, box: int) -> int:
    """The smallest box, not above ``box``, whose whole shells reach ``band`` and whose transform is fast."""
    return min(box, 2 * next_fast_len(band + 1, real=False))
