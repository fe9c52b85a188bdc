"""The map at a conformation from the images near it: locally weighted back projection, its bandwidth chosen by band.

Few images are unbiased and noisy, many are sharp and blur the motion. How many are best depends on the frequency and on
the place: a moving domain wants few at low frequency, a rigid core wants all. So the maps of nested neighbourhoods are
made, each from both halves apart, and in each frequency band and region the neighbourhood is taken that agrees best
with the *other* half's map of a small one: bias² + variance + a constant (cross-validation; the idea of kernel
regression in Gilles & Singer 2025, PNAS 122:e2419140122).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hypermol.errors import DataError
from hypermol.maps import filtered
from hypermol.metrics import fsc
from hypermol.reconstruction.consensus import BATCH, Batches
from hypermol.reconstruction.insertion import insertion
from hypermol.reconstruction.linear import LinearInsertion, LinearSums
from hypermol.reconstruction.shells import profile_volume
from hypermol.reconstruction.support import fourier_gain
from hypermol.shapes import Float, Int

SMALLEST = 300
"""Particles in the smallest neighbourhood, of both halves: fewer have no usable map at any frequency."""
LEAST_PARTICLES = 2 * SMALLEST
"""A set of fewer has no maps by regression."""
BAND_SHELLS = 3
REFERENCE = 1
"""Which neighbourhood of the other half the candidates are held against: the second smallest, less noisy than the
first and hardly more blurred; the smallest where there is only one beside all particles."""
_DAMPING = 0.01  # of a shell's mean weight: what bounds nearly empty nodes


@dataclass(frozen=True, eq=False)
class RegressionMap:
    """map: filtered, masked, [D, D, D]; half_maps: [2, D, D, D] unfiltered, of the same mixture; fsc: between them in
    the mask, [D/2] (independence "accumulators": the halves share z); sizes [m] and shares [bands, m]: which part of
    the mask, in each band, comes from how many particles."""

    map: Float[Tensor, "d d d"]
    half_maps: Float[Tensor, "2 d d d"]
    fsc: Float[Tensor, " s"]
    sizes: tuple[int, ...]
    shares: Float[Tensor, "b m"]


def neighbour_sizes(count: int) -> tuple[int, ...]:
    """Nested neighbourhoods: doubling from ``SMALLEST``, and all. Raises DataError where particles are too few."""
    if count < LEAST_PARTICLES:
        raise DataError(f"maps by regression need at least {LEAST_PARTICLES} particles, found {count}")
    sizes = []
    size = SMALLEST
    while size < 0.75 * count:
        sizes.append(size)
        size *= 2
    return (*sizes, count)


def sizes_within(state: int, count: int) -> tuple[int, ...]:
    """Nested neighbourhoods in a separate state of so many particles: doubling up to all of them, then all of
    ``count``; none lies between, where other states would be mixed in."""
    return (*(size for size in neighbour_sizes(count)[:-1] if size < 0.75 * state), state, count)


def nearest(
    z: Float[np.ndarray, "n d"], at: Float[np.ndarray, " d"], covariance: Float[np.ndarray, "n d d"] | None = None
) -> Int[np.ndarray, " n"]:
    """Particles in the order of their distance from ``at``: squared, in units of each particle's own posterior
    ``covariance``; of all z where there is none."""
    step = z.astype(np.float64) - at
    spread = np.cov(z.T.astype(np.float64)).reshape(z.shape[1], z.shape[1])
    # a floor, so that a posterior that claims to know everything does not make a distance of its own
    unit = spread[None] if covariance is None else covariance.astype(np.float64) + 1e-4 * spread
    distance = np.einsum(
        "ni,ni->n", step, np.linalg.solve(np.broadcast_to(unit, (len(z), *unit.shape[1:])), step[..., None])[..., 0]
    )
    return np.argsort(distance, kind="stable")


def regression_map(
    source: Batches,
    order: Int[np.ndarray, " n"],
    sizes: Sequence[int],
    mask: Float[Tensor, "d d d"],
    widest: Float[Tensor, "2 d d d"] | None = None,
) -> RegressionMap:
    """The map at a point from particles in the ``order`` of their distance, in nested neighbourhoods of ``sizes``.

    ``widest``: half maps of the last neighbourhood where they are known: those of all particles serve every point.
    Raises DataError where a half set is missing among the nearest.
    """
    if widest is None:
        halves = nested_half_maps(source, order, sizes)
    else:
        halves = torch.cat([nested_half_maps(source, order, sizes[:-1]), widest[None]])
    mixed, shares = mixed_maps(halves, mask)
    curve = fsc(mixed[0], mixed[1], mask)
    # the mask comes before the radial filter: noise at its edge would leak from strong shells into damped ones
    whole = filtered(mixed.mean(0) * mask, profile_volume(fourier_gain(curve), mask.shape[-1]))
    return RegressionMap(whole, mixed, curve, tuple(sizes), shares)


def nested_half_maps(source: Batches, order: Int[np.ndarray, " n"], sizes: Sequence[int]) -> Float[Tensor, "m 2 d d d"]:
    """Unfiltered half maps of the first ``sizes[i]`` particles of ``order``, each image inserted once."""
    box, found, total, start = source.lattice.box, [], None, 0
    for size in sizes:
        ring = torch.from_numpy(np.asarray(order[start:size], dtype=np.int64))
        for batch in source.stream(ring.split(BATCH)):
            images = insertion(batch)
            one = images.weight.new_ones(len(images.half), 1)
            total = LinearInsertion(images, one, one[..., None]).add_to(total)
        if total is None or not bool((total[..., 2] > 0).flatten(1).any(1).all()):
            raise DataError(f"the {size} particles nearest to this conformation are all in one half set")
        found.append(torch.stack([_unfiltered(half) for half in LinearSums.completed(total.clone(), box, 1)]))
        start = size
    return torch.stack(found)


def mixed_maps(
    halves: Float[Tensor, "m 2 d d d"], mask: Float[Tensor, "d d d"]
) -> tuple[Float[Tensor, "2 d d d"], Float[Tensor, "b m"]]:
    """Per band and place the neighbourhood with the least cross-validated error; and what came from which."""
    box, count = mask.shape[-1], len(halves)
    transforms, mixed = torch.fft.rfftn(halves, dim=(-3, -2, -1)), torch.zeros_like(halves[0])
    shares, reference = [], REFERENCE if count > 2 else 0
    for centre, gain in _bands(box):
        parts = torch.fft.irfftn(transforms * profile_volume(gain, box).to(halves), s=(box,) * 3, dim=(-3, -2, -1))
        error = (parts - parts[reference].flip(0)).square().sum(1) * mask
        width = max(2.0, 0.5 * box / max(centre, 4))
        coarse = _along_each_axis(error, _window(box, width).to(error))
        best = torch.arange(count, device=error.device)[:, None, None, None] == coarse.argmin(0)
        weight = _along_each_axis(best.to(error), _window(box, width / 2).T.to(error))
        weight = weight / weight.sum(0)
        mixed += torch.einsum("mzyx,mhzyx->hzyx", weight, parts)
        shares.append((weight * mask).sum((-3, -2, -1)) / mask.sum())
    return mixed, torch.stack(shares)


def _unfiltered(half: LinearSums) -> Tensor:
    return half.solve(half.noise() / _DAMPING)[0]


def _bands(box: int) -> list[tuple[int, Float[Tensor, " s"]]]:
    """Overlapping bands of shells whose gains add up to one: centre and gain per shell."""
    shells = torch.arange(box // 2, dtype=torch.float64)
    centres = list(range(0, box // 2, BAND_SHELLS))
    bands = []
    for place, centre in enumerate(centres):
        rising = ((shells - centre) / BAND_SHELLS + 1).clamp(0, 1) if place else torch.ones_like(shells)
        falling = (
            (1 - (shells - centre) / BAND_SHELLS).clamp(0, 1) if place + 1 < len(centres) else torch.ones_like(shells)
        )
        gain = torch.sin(torch.pi / 2 * torch.minimum(rising, falling)) ** 2
        bands.append((centre, gain))
    return bands


def _window(box: int, width: float) -> Float[Tensor, "h d"]:
    """A Gaussian of this standard deviation in pixels around every second half pixel of an axis that closes on itself:
    a blurred map needs no finer grid, and is 8 times smaller."""
    step = torch.arange(box, dtype=torch.float64) - (torch.arange(box // 2, dtype=torch.float64) * 2 + 0.5)[:, None]
    step = (step + box / 2) % box - box / 2
    gauss = torch.exp(-0.5 * (step / width) ** 2)
    return gauss / gauss.sum(1, keepdim=True)


def _along_each_axis(maps: Float[Tensor, "m z y x"], window: Float[Tensor, "a b"]) -> Float[Tensor, "m a a a"]:
    for axis in (-1, -2, -3):
        maps = (maps.movedim(axis, -1) @ window.T).movedim(-1, axis)
    return maps
