"""Shells of a real map's transform, each ±k pair stored once: what every FSC of the package sums over.

The origin's phase is left out: it cancels in the product of one transform with the conjugate of another.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from hypermol.kernels.box import require_even_box
from hypermol.shapes import Complex, Float, Int


@dataclass(frozen=True)
class HalfShells:
    """Points [z, y, x ≥ 0] of a box without its Nyquist column, numbered by shell; D/2 marks what no shell holds.

    ``weight`` is 1 in the plane x = 0, which holds both k and -k, and 2 elsewhere.
    """

    box: int
    number: Int[Tensor, " p"]
    weight: Float[Tensor, " x"]

    def transform(self, maps: Float[Tensor, "*b d d d"]) -> Complex[Tensor, "*b d d x"]:
        """Uncentred transforms of real maps at these points; the box must be that of the shells."""
        if maps.numel() == 0:
            return torch.complex(maps, maps)[..., : self.box // 2]
        return torch.fft.rfftn(maps, dim=(-3, -2, -1))[..., : self.box // 2]

    def total(self, values: Float[Tensor, "*b d d x"]) -> Float[Tensor, "*b s"]:
        """Sum per shell 0 … D/2 - 1 over both halves, in float64."""
        flat = (values * self.weight.to(values.dtype)).flatten(-3).double()
        sums = flat.new_zeros((*flat.shape[:-1], self.box // 2 + 1))
        return sums.index_add(-1, self.number, flat)[..., :-1]


def half_shells(box: int, device: torch.device | str = "cpu", inner: bool = False) -> HalfShells:
    """Shells round(|k| D) of a box; with ``inner``, shell i holds i - 1 ≤ |k| D < i (shell 0 is then empty).

    Raises DataError for an odd box. The shells of the last few boxes are kept.
    """
    return _numbered(require_even_box(box, "FSC"), str(device), inner)


@lru_cache(maxsize=8)
def _numbered(box: int, device: str, inner: bool) -> HalfShells:
    axis = torch.fft.fftfreq(box, 1 / box, dtype=torch.float64, device=device)
    half = torch.arange(box // 2, dtype=torch.float64, device=device)
    radius = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + half**2).sqrt()
    number = (radius.floor() + 1 if inner else radius.round()).long().flatten().clamp(max=box // 2)
    weight = torch.full_like(half, 2.0)
    weight[0] = 1.0
    return HalfShells(box, number, weight)
