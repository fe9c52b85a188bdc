"""What a refinement's own results say against it: views that leave gaps, maps that mistake one pose for another."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hypermol.errors import HypermolError
from hypermol.imaging import directions, geodesic_angle_deg, matrix_to_rotvec
from hypermol.maps import align_maps, other_hand
from hypermol.metrics import fsc
from hypermol.reconstruction import first_below
from hypermol.shapes import Float

NEAR_DEG = 30.0
EVEN = 1 - math.cos(math.radians(NEAR_DEG))
"""Share of evenly spread views within 30° of an axis, from either side."""
CROWDED = 0.5
ALIKE, MOST_SHELLS = 0.5, 0.8
"""Two maps are alike up to a shell where their FSC falls below a half; alike enough to be mistaken where that is 80 %
of the shells in which the half maps are."""
TURN_DEG = 40.0
FEWEST_SHELLS = 7.0
"""Coarser maps of most molecules are like their own mirror image."""


def findings(
    map_: Float[Tensor, "d d d"],
    halves: Float[Tensor, " s"],
    rotation: Float[Tensor, "n 3 3"],
    group: Float[Tensor, "g 3 3"] | None = None,
) -> tuple[str, ...]:
    """Sentences for the user, none where all is well. halves: FSC of the half maps; group: the rotations that were
    taken to make equal poses."""
    said = [crowded_views(rotation, group)]
    shells = MOST_SHELLS * first_below(halves, ALIKE)
    if shells < FEWEST_SHELLS:
        return tuple(words for words in said if words)
    try:
        said.append(own_mirror_image(map_, shells))
        said.append(own_turned_image(map_, shells) if group is None else None)
    except HypermolError:  # no density to compare
        pass
    return tuple(words for words in said if words)


def crowded_views(rotation: Float[Tensor, "n 3 3"], group: Float[Tensor, "g 3 3"] | None = None) -> str | None:
    """Where most particles are seen along one axis, each in all its equal poses."""
    view, axes = rotation[:, 2].double(), directions(3).to(rotation.device)
    if group is not None:
        view = torch.einsum("ni,gij->gnj", view, group.to(view)).flatten(0, 1)
    share = ((view @ axes.T).abs() >= math.cos(math.radians(NEAR_DEG))).double().mean(0)
    most, at = float(share.max()), axes[int(share.argmax())].tolist()
    if most < CROWDED:
        return None
    return (
        f"{100 * most:.0f} % of the particles are seen from within {NEAR_DEG:.0f}° of the axis ({_words(at)}), where "
        f"{100 * EVEN:.0f} % would be if views were even: the map is less sharp along it than its resolution says"
    )


def own_mirror_image(map_: Float[Tensor, "d d d"], shells: float) -> str | None:
    """Where a map is like its own mirror image as far as it can be trusted."""
    alike = fsc(
        align_maps(other_hand(map_), map_, order=1, either_hand=False, band_limit=_band(map_, shells)).aligned, map_
    )
    if first_below(alike, ALIKE) < shells:
        return None
    return (
        f"up to shell {first_below(alike, ALIKE) - 1} the map is its own mirror image: its hand cannot be told, or "
        "the poses have collapsed onto those of a flat or symmetric object; see whether other starts end elsewhere "
        "(-m abinitio with another --seed)"
    )


def own_turned_image(map_: Float[Tensor, "d d d"], shells: float) -> str | None:
    """Where a map looks the same after a turn, so that particles may have been given the wrong one of two poses."""
    band = _band(map_, shells)
    found = align_maps(map_, map_, order=1, either_hand=False, band_limit=band, at_least_deg=TURN_DEG)
    angle = float(geodesic_angle_deg(found.rotation, torch.eye(3).to(found.rotation)))
    alike = fsc(found.aligned, map_)
    if angle < TURN_DEG / 2 or first_below(alike, ALIKE) < shells:
        return None
    axis = matrix_to_rotvec(found.rotation)
    axis, fold = axis / axis.norm(), round(360 / angle)
    return (
        f"up to shell {first_below(alike, ALIKE) - 1} the map looks the same after a turn by {angle:.0f}° about "
        f"({_words(axis.tolist())}): particles may be in the wrong one of two poses that differ by it; if the molecule "
        f"is symmetric, turn the map so that its axis is z and refine from it (-m refine --set symmetry=C{fold})"
    )


def _band(map_: Tensor, shells: float) -> int:
    return max(4, min(map_.shape[-1] // 2 - 1, 32, round(shells)))


def _words(axis: list[float]) -> str:
    return ", ".join(f"{part:.2f}" for part in axis)
