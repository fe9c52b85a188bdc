"""Several maps grown from random poses at once: what keeps one of them from taking all images, and the strong low
shells from deciding alone which map an image belongs to.

What maps leave unexplained lies mostly in the lowest shells, where conformations hardly differ; it counts as noise
(``objectives.misfit``). And a map that happens to be ahead fits every image a little better, takes them all and leaves
nothing to the others; until maps differ, each gets a head start by which all are chosen equally often.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hypermol.poses import compare_slices
from hypermol.shapes import Float, Int

LEARN = 0.2
"""How much of the misfit each batch replaces."""
PULL = 0.5
"""How far a batch moves the head starts towards those by which it would have been shared equally."""
SOFT = 5.0
"""Likelihoods count as close that differ by less than this part of how far they are apart."""
FEWEST, MOST = 0.05, 20.0
"""Shares of equal ones that a batch is taken to have shown at most: a small one has none of some maps by chance."""


def unexplained(batch: Any, grid: Tensor, rotation: Tensor, shift: Tensor) -> Float[Tensor, "2 s"]:
    """Sums per shell over images at known poses (shift: Å): of |X - C V|² - σ², and of C²; float64."""
    match, power = compare_slices(batch, grid, rotation, shift)
    weight = batch.lattice.weight * batch.valid[..., None]
    square = (batch.images.abs().square() - batch.variance) * weight
    fitted = (batch.ctf.square() * power - 2 * batch.ctf * match) * batch.variance
    pixels = torch.stack([(square + fitted).double().sum((0, 1)), (batch.ctf.square() * weight).double().sum((0, 1))])
    shells = pixels.new_zeros(2, int(batch.lattice.shell.max()) + 1)
    return shells.index_add_(1, batch.lattice.shell, pixels)


def learned_misfit(misfit: Float[Tensor, " s"], sums: Float[Tensor, "2 s"]) -> Float[Tensor, " s"]:
    """What it is after a batch."""
    fresh = (sums[0] / sums[1].clamp(min=1e-30)).clamp(min=0)
    return misfit + LEARN * (fresh - misfit)


def chosen(value: Float[Tensor, "b k"], share: Float[Tensor, "b k"]) -> Float[Tensor, " k2"]:
    """Sums over images, of their best log-likelihood under each map, head starts left out, and their share in each: the
    shares, how far the likelihoods of all maps are below the best, and the number of images."""
    below = (value.amax(1, keepdim=True) - value).mean(1).sum()
    return torch.cat([share.double().sum(0), below[None], below.new_tensor([float(len(value))])])


def learned_head_start(head_start: Float[Tensor, " k"], sums: Float[Tensor, " k2"]) -> Float[Tensor, " k"]:
    """Nats added to the log-likelihood under each map, after a batch (``chosen``); 0 on average."""
    *_, below, count = sums.unbind()
    if not float(count) > 0:
        return head_start
    equal = (sums[:-2] / count * len(head_start)).clamp(FEWEST, MOST)
    moved = head_start - PULL * below / count / SOFT * equal.log()
    return moved - moved.mean()


def best_pose(value: Float[Tensor, "b k h"]) -> tuple[Int[Tensor, " b"], Int[Tensor, " b"]]:
    """The map, and its pose, under which each image is most likely."""
    best = value.flatten(1).argmax(1)
    return best // value.shape[2], best % value.shape[2]
