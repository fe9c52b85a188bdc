"""Turns and reflections of an image about its origin that need no interpolation, on packed Fourier pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from hypermol.imaging.lattice import Lattice
from hypermol.shapes import Complex, Float

HALF_TURN = ((-1, 0), (0, -1))
QUARTER_TURN = ((0, -1), (1, 0))
REFLECTION = ((-1, 0), (0, 1))
"""Signed permutations [2, 2] of (x, y): the content at r appears at M r."""


def moved_images(
    images: Complex[Tensor, "*batch p"], lattice: Lattice, matrix: tuple[tuple[int, int], tuple[int, int]]
) -> Complex[Tensor, "*batch p"]:
    """Packed transforms of real images whose content at r was moved to M r: X'(k) = X(Mᵀ k), exactly.

    matrix: a signed permutation of (x, y). Raises ConfigError for a lattice off the pixels of a transform.
    """
    if matrix == HALF_TURN:
        return images.conj()  # X(-k) = X(k)*
    box = lattice.box
    source = lattice.integers @ torch.tensor(matrix, device=images.device)  # rows: (Mᵀ k)ᵀ = kᵀ M
    place = torch.full((box * box,), -1, device=images.device)
    place[lattice.pixels] = torch.arange(lattice.size, device=images.device)
    own = place[(source[:, 1] + box // 2) * box + source[:, 0] + box // 2]
    opposite = place[(box // 2 - source[:, 1]) * box + box // 2 - source[:, 0]]
    found = images[..., torch.where(own >= 0, own, opposite)]
    return torch.where(own >= 0, found, found.conj())


def in_space(
    matrix: tuple[tuple[int, int], tuple[int, int]], depth: int = 1, like: Tensor | None = None
) -> Float[Tensor, "3 3"]:
    """The same move of x and y in three dimensions; z is multiplied by ``depth``."""
    whole = torch.zeros(3, 3) if like is None else like.new_zeros(3, 3)
    whole[:2, :2] = torch.tensor(matrix, dtype=whole.dtype)
    whole[2, 2] = depth
    return whole
