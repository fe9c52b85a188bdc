"""The 48 symmetries of the cube, applied to maps exactly: no interpolation, no change of any shell's power."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product

import torch
from torch import Tensor

from hypermol.shapes import Float


def turned_copies(maps: Float[Tensor, "*b d d d"]) -> Iterator[Float[Tensor, "*b d d d"]]:
    """The 47 other positions of maps [..., D, D, D] (rotations by 90° and 180° and their mirror images) about D//2.

    The first plane of each axis, which has no mirror partner in an even box, keeps its place.
    """
    for order in permutations(range(3)):
        for flips in product((False, True), repeat=3):
            if order == (0, 1, 2) and not any(flips):
                continue
            lead = maps.dim() - 3
            turned = maps.permute(*range(lead), *(lead + axis for axis in order))
            axes = [lead + axis for axis, flip in enumerate(flips) if flip]
            yield torch.roll(turned.flip(axes), [1] * len(axes), axes) if axes else turned
