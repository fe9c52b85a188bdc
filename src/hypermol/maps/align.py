"""Alignment of two maps: rotation, shift and hand, by FFT search and continuous refinement."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hypermol.errors import ConfigError, DataError
from hypermol.imaging import geodesic_angle_deg, so3_grid, spacing_deg
from hypermol.kernels.box import require_even_box
from hypermol.maps.align_refine import refinement
from hypermol.maps.align_search import Candidate, search
from hypermol.maps.align_transform import SplineTransform, spline_transform, transform_map
from hypermol.shapes import Float

__all__ = ["MapAlignment", "align_maps", "other_hand", "refine_alignment", "transform_map"]

_KEPT = 6
_FINEST = 32
_ROUGH, _EXACT = 3e-3, 1e-6  # steps at which a refinement ends: radians, and shares of the box


@dataclass(frozen=True)
class MapAlignment:
    """What takes the moving map onto the fixed one: mirrored first (z → -z) if so, then r → R r + shift.

    rotation [3, 3] and shift (pixels) act on (x, y, z) from the centre (float64). ``correlation``: Pearson's, of the
    aligned map with the fixed one over the whole box, -1 to 1.
    """

    rotation: Float[Tensor, "3 3"]
    shift_px: Float[Tensor, "3"]
    mirrored: bool
    correlation: float
    aligned: Float[Tensor, "d d d"]

    def lay(self, map_: Float[Tensor, "d d d"]) -> Float[Tensor, "d d d"]:
        """Another map, moved as the moving one was."""
        return transform_map(map_, self.rotation, self.shift_px, self.mirrored)


def align_maps(
    moving: Float[Tensor, "d d d"],
    fixed: Float[Tensor, "d d d"],
    *,
    order: int = 2,
    either_hand: bool = True,
    band_limit: int | None = None,
    at_least_deg: float = 0.0,
) -> MapAlignment:
    """Rotation, shift and, with ``either_hand``, mirror of ``moving`` that fit ``fixed`` best.

    All rotations of the SO(3) grid of ``order`` (2: 4,608 at 15°) by all shifts, on shells that the grid resolves
    (1 … 2·2^order); the six best of each hand are refined there, and the best of each hand on up to ``band_limit``
    shells (default the smaller of 32 and D/2 - 1), doubling. Every shell has equal power in the search and weighs by
    its correlation in refinement, so that neither a strong low shell nor noise decides. The result is the placement
    with the highest mean FSC. Symmetric maps have several equal answers; one is given. at_least_deg: smaller turns are
    not tried, and refined ones below three quarters of it only taken where there is no other.

    Raises DataError for maps of different or odd boxes or without density, ConfigError for a limit outside
    1 … D/2 - 1.
    """
    box = require_even_box(moving.shape[-1], "maps to align")
    limit = _checked(moving, fixed, band_limit)
    coarse = min(2 ** (order + 1), limit)
    target = _double(spline_transform(fixed, limit + 1))
    one_hand = _double(spline_transform(moving, limit + 1))
    rotations, apart = so3_grid(order), 0.75 * spacing_deg(order)
    if at_least_deg:
        rotations = rotations[_turn_deg(rotations) >= at_least_deg]
    best: list[Candidate] = []
    for mirrored in (False, True) if either_hand else (False,):
        hand = one_hand.mirrored() if mirrored else one_hand
        found = search(hand, target, box, rotations, coarse, _KEPT, apart, mirrored)
        band, kept = coarse, len(found)
        while True:
            rule, last = refinement(hand, target, box, band), band == limit
            exact, rounds = (_EXACT, 2) if last else (_ROUGH, 1)
            found = sorted((rule.refined(c, exact, rounds) for c in found[:kept]), key=lambda c: -c.score)
            found = [c for c in found if _turn_deg(c.rotation) >= 0.75 * at_least_deg] or found
            if last:
                break
            band = min(2 * band, limit)
            kept = 1 if band == limit else 2
        best.append(found[0])
    winner = max(best, key=lambda c: c.score)
    aligned = transform_map(moving, winner.rotation, winner.shift_px, winner.mirrored)
    return MapAlignment(winner.rotation, winner.shift_px, winner.mirrored, _pearson(aligned, fixed), aligned)


def refine_alignment(
    moving: Float[Tensor, "d d d"],
    fixed: Float[Tensor, "d d d"],
    start: MapAlignment,
    band_limit: int | None = None,
) -> MapAlignment:
    """``align_maps`` from a placement that is nearly right: no search. Raises as ``align_maps``."""
    limit = _checked(moving, fixed, band_limit)
    target, hand = (_double(spline_transform(map_, limit + 1)) for map_ in (fixed, moving))
    hand = hand.mirrored() if start.mirrored else hand
    found = Candidate(start.rotation, start.shift_px, start.mirrored, 0.0)
    for band in sorted({max(1, limit // 2), limit}):
        found = refinement(hand, target, moving.shape[-1], band).refined(found, _EXACT, 2)
    aligned = transform_map(moving, found.rotation, found.shift_px, found.mirrored)
    return MapAlignment(found.rotation, found.shift_px, found.mirrored, _pearson(aligned, fixed), aligned)


def other_hand(map_: Float[Tensor, "d d d"]) -> Float[Tensor, "d d d"]:
    """The mirror image, z → -z about the centre D/2; ``imaging.mirror`` gives the rotations that go with it."""
    return map_.flip(0).roll(1, 0)


def _turn_deg(rotation: Float[Tensor, "*n 3 3"]) -> Float[Tensor, "*n"]:
    return geodesic_angle_deg(rotation, torch.eye(3).to(rotation))


def _checked(moving: Tensor, fixed: Tensor, band_limit: int | None) -> int:
    if moving.shape != fixed.shape:
        raise DataError(f"alignment: maps of {tuple(moving.shape)} and {tuple(fixed.shape)} cannot be aligned")
    for name, map_ in (("moving", moving), ("fixed", fixed)):
        spread = float(map_.std())
        if not 0 < spread < float("inf"):
            raise DataError(f"alignment: expected density in the {name} map, found a standard deviation of {spread}")
    largest = moving.shape[-1] // 2 - 1
    limit = min(_FINEST, largest) if band_limit is None else band_limit
    if not 1 <= limit <= largest:
        raise ConfigError(f"alignment: expected a band limit of 1 to {largest} shells, found {band_limit}")
    return limit


def _double(spline: SplineTransform) -> SplineTransform:
    return SplineTransform(spline.coefficients.to(torch.complex128), spline.reach)


def _pearson(first: Tensor, second: Tensor) -> float:
    a, b = first.double() - first.double().mean(), second.double() - second.double().mean()
    return float((a * b).sum() / (a.norm() * b.norm()))
