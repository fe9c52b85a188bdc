"""Two halves' landscapes by their maps, so that the coordinates of z do not matter (Donnat et al. 2022, §4.1.2).

Each half's model shows its maps at the z of random particles of its own half. The mean map of either is taken off:
what is compared is how the molecule moves, not how well its still map is known. Each distance stands between two
scales: the same distance between random parts of one landscape (the least that so few maps can give), and by chance.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.errors import DataError
from hypermol.imaging import fourier_crop
from hypermol.maps import automatic_mask, soft_sphere
from hypermol.metrics import (
    cross_distances,
    gromov_wasserstein,
    leading_coordinate,
    map_distances,
    quantile_agreement,
    relative_across,
    relative_within,
    same_scale,
)
from hypermol.shapes import Float
from hypermol.validation.octahedral import turned_copies

DISTANCES = ("wasserstein", "quantiles", "gromov")
MAPS = 80
"""Maps of each half."""
LARGEST_BOX = 48
QUANTILES = 5
SPLITS = 10
GROMOV_SPLITS, MIXED = 4, 12
"""Pairs of parts, and mixed distance tables, behind a Gromov-Wasserstein distance: it is slow."""


@dataclasses.dataclass(frozen=True)
class Scaled:
    """A relative distance, 0 for the same landscape and about 1 where no pairing does better than another.

    same [s]: between random parts of one landscape. chance [c]: between landscapes that have nothing to do with each
    other.
    """

    value: float
    same: Float[np.ndarray, " s"]
    chance: Float[np.ndarray, " c"]

    def record(self) -> dict[str, float]:
        """value, ``same`` (mean), ``same_95``, ``chance`` (mean), ``chance_5`` (5th percentile), and ``share``: where
        the value lies between the two means, 0 as close as can be, 1 unrelated (not cut at either end)."""
        same, chance = float(self.same.mean()), float(self.chance.mean())
        found = {"value": self.value, "same": same, "same_95": float(np.quantile(self.same, 0.95))}
        found |= {"chance": chance, "chance_5": float(np.quantile(self.chance, 0.05))}
        return found | {"share": (self.value - same) / (chance - same) if chance > same else float("nan")}


def compared_landscapes(
    first: Float[Tensor, "n d d d"], second: Float[Tensor, "m d d d"], pixel_size: float, seed: int = 0
) -> dict[str, Any]:
    """Distances of two sets of maps in one frame (8 or more each; pixel size in Å).

    maps [2]; means_apart: ‖difference of the mean maps‖ in standard deviations of the maps about them; spread [2]: that
    deviation over the norm of the mean map; wasserstein, quantiles, gromov: ``Scaled.record``, None where the maps of a
    landscape are all the same. Chance: for the first two, landscape 1 in the 47 other positions of a cube, which keep
    its power and lose its place; for Gromov-Wasserstein, which needs no place, the table of its distances in random
    order, which keeps their sizes and loses their geometry. Where the mean maps do not correlate, ``note`` says so and
    all else is None. Raises DataError for fewer maps.
    """
    few = min(len(first), len(second))
    if few < 8:
        raise DataError(f"landscapes by maps: expected at least 8 maps of each half, found {few}")
    mask = _mask(torch.cat([first, second]).mean(0), pixel_size)
    found: dict[str, Any] = {"maps": [len(first), len(second)], **dict.fromkeys(("spread", "means_apart", *DISTANCES))}
    try:
        one, two = first * mask, same_scale(second, first, mask) * mask
    except DataError as error:
        return found | {"note": str(error)}
    means = one.mean(0), two.mean(0)
    one, two = one - means[0], two - means[1]
    spreads = [float(maps.square().sum((1, 2, 3)).mean().sqrt()) for maps in (one, two)]
    found["spread"] = [s / float(mean.norm()) for s, mean in zip(spreads, means)]
    typical = float(np.sqrt(np.mean(np.square(spreads))))
    found["means_apart"] = float((means[0] - means[1]).norm()) / typical if typical > 0 else None
    if min(found["spread"]) < 1e-6:  # single precision of the maps: nothing moves in a model
        return found
    within = map_distances(one), map_distances(two)
    between = cross_distances(one, two)
    turned = [cross_distances(one, copy) for copy in turned_copies(two)]
    found["wasserstein"] = _wasserstein(within, between, turned, few // 2, seed).record()
    found["quantiles"] = _quantiles(within, between, turned, few // 2, seed).record()
    found["gromov"] = _gromov(within, few // 2, seed).record()
    return found


def maps_at(decode: Callable[[np.ndarray], np.ndarray], z: np.ndarray, count: int = MAPS, seed: int = 0) -> Tensor:
    """Maps [m, D, D, D] at the z [N, d] of ``count`` random particles, Fourier-cropped to ``LARGEST_BOX``; made one by
    one."""
    chosen = np.sort(np.random.default_rng([seed, 29]).permutation(len(z))[:count])
    maps = []
    for row in chosen:
        volume = torch.from_numpy(decode(z[[row]])[0])
        maps.append(fourier_crop(volume, min(LARGEST_BOX, volume.shape[-1]), dims=3))
    return torch.stack(maps)


def _wasserstein(
    within: tuple[np.ndarray, np.ndarray], between: np.ndarray, turned: list[np.ndarray], count: int, seed: int
) -> Scaled:
    random = np.random.default_rng([seed, 31])
    value = float(np.mean([relative_across(between, count, random) for _ in range(SPLITS)]))
    same = np.array([relative_within(one, count, random) for _ in range(SPLITS) for one in within])
    return Scaled(value, same, np.array([relative_across(each, count, random) for each in turned]))


def _quantiles(
    within: tuple[np.ndarray, np.ndarray], between: np.ndarray, turned: list[np.ndarray], count: int, seed: int
) -> Scaled:
    """Mean maps of equal shares of ``count`` particles along the motion of largest variance. A turned copy keeps its
    inner distances, hence its coordinate."""
    random = np.random.default_rng([seed, 37])

    def relative(first: np.ndarray, second: np.ndarray, across: np.ndarray) -> float:
        own = leading_coordinate(first), leading_coordinate(second)
        return quantile_agreement(first, second, across, *own, min(QUANTILES, count)).relative

    def parts(distances: np.ndarray) -> float:
        rows, columns = (random.permutation(len(one))[:count] for one in within)
        own = within[0][np.ix_(rows, rows)], within[1][np.ix_(columns, columns)]
        return relative(*own, distances[np.ix_(rows, columns)])

    def halved(one: np.ndarray) -> float:
        order = random.permutation(len(one))
        left, right = order[:count], order[count : 2 * count]
        return relative(one[np.ix_(left, left)], one[np.ix_(right, right)], one[np.ix_(left, right)])

    value = float(np.mean([parts(between) for _ in range(SPLITS)]))
    same = np.array([halved(one) for _ in range(SPLITS) for one in within])
    return Scaled(value, same, np.array([parts(each) for each in turned]))


def _gromov(within: tuple[np.ndarray, np.ndarray], count: int, seed: int) -> Scaled:
    """Parts of ``count`` maps throughout, so that all three are alike in size."""
    random = np.random.default_rng([seed, 41])

    def part(distances: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return distances[np.ix_(rows, rows)]

    def drawn(distances: np.ndarray) -> np.ndarray:
        return part(distances, random.permutation(len(distances))[:count])

    value = [gromov_wasserstein(drawn(within[0]), drawn(within[1])).relative for _ in range(GROMOV_SPLITS)]
    same = []
    for one in within:
        for _ in range(GROMOV_SPLITS):
            order = random.permutation(len(one))
            halves = part(one, order[:count]), part(one, order[count : 2 * count])
            same.append(gromov_wasserstein(*halves).relative)
    chance = [gromov_wasserstein(drawn(within[0]), _mixed(drawn(within[1]), random)).relative for _ in range(MIXED)]
    return Scaled(float(np.mean(value)), np.array(same), np.array(chance))


def _mixed(distances: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The same distances between other pairs."""
    above = np.triu_indices(len(distances), 1)
    mixed = np.zeros_like(distances)
    mixed[above] = random.permutation(distances[above])
    return mixed + mixed.T


def _mask(mean: Tensor, pixel_size: float) -> Tensor:
    """Around the molecule of both halves together; a sphere where none stands out. A half turned by 90° must stay
    inside, so the sphere that holds the mask is taken."""
    box = mean.shape[-1]
    edge = max(2.0, box / 16)
    try:
        solid = automatic_mask(mean, pixel_size, edge=max(9.0, 4 * pixel_size)) > 0.5
    except DataError:
        return soft_sphere(box, box / 2 - edge - 1, edge).to(mean)
    axis = torch.arange(box, dtype=mean.dtype) - box // 2
    radius = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).sqrt()
    reach = min(float(radius[solid].max()) + 1, box / 2 - edge - 1) if solid.any() else box / 2 - edge - 1
    return soft_sphere(box, reach, edge).to(mean)
