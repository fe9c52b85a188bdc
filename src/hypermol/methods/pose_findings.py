"""What a refinement's own results say against it: views that leave gaps, maps that mistake one pose for another."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.errors import HypermolError
from hypermol.imaging import directions, geodesic_angle_deg, matrix_to_rotvec
from hypermol.maps import align_maps, other_hand
from hypermol.metrics import fsc, mutual_information
from hypermol.reconstruction import first_below
from hypermol.runs import WARNING
from hypermol.shapes import Float

NEAR_DEG = 30.0
SAME_DEG, COLLAPSED, UNEVEN, POLE_DEG = 20.0, 0.3, 0.5, 5.0
FEWEST_POSES, COMPARED = 200, 1500
AT_ONCE = 4096
"""Views that are held against all axes at once."""
SIGMAS, TOLD = 6.0, 0.2
TRY_AGAIN = (
    "try another seed (--set seed=1), a lower resolution to begin with, for an encoder a smaller learning rate or more "
    "images before z is inferred, or let a search find the poses (-m abinitio)"
)
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
    said = [collapsed_poses(rotation) or crowded_views(rotation, group)]
    shells = MOST_SHELLS * first_below(halves, ALIKE)
    if shells < FEWEST_SHELLS:
        return _warnings(said)
    try:
        said.append(own_mirror_image(map_, shells))
        said.append(own_turned_image(map_, shells) if group is None else None)
    except HypermolError:  # no density to compare
        pass
    return _warnings(said)


def _warnings(said: list[str | None]) -> tuple[str, ...]:
    """As the log has them and the report shows them."""
    return tuple(f"{WARNING}{words}" for words in said if words)


def collapsed_poses(rotation: Float[Tensor, "n 3 3"]) -> str | None:
    """Where most particles have nearly the same pose, or are nearly the same way up: how a particle lies in the image
    is as good as even, whatever the views are, so that poses that say otherwise were not found in the images."""
    if len(rotation) < FEWEST_POSES:
        return None
    some = rotation[torch.linspace(0, len(rotation) - 1, min(len(rotation), COMPARED)).long()].double()
    near = torch.einsum("nij,mij->nm", some, some) > 1 + 2 * math.cos(math.radians(SAME_DEG))
    alike = float(near.double().mean(1).max())
    if alike > COLLAPSED:
        return (
            f"poses have collapsed: {100 * alike:.0f} % of the particles have the same one within {SAME_DEG:.0f}°, and "
            f"neither map nor poses can be used; {TRY_AGAIN}"
        )
    aside = some[some[:, 2, 2].abs() < math.cos(math.radians(POLE_DEG))]  # at the pole the angle is not defined
    if len(aside) < FEWEST_POSES:
        return None
    turned = torch.atan2(aside[:, 1, 2], -aside[:, 0, 2])
    uneven = max(float(torch.polar(torch.ones_like(turned), order * turned).mean().abs()) for order in (1, 2))
    if uneven < UNEVEN:
        return None
    return (
        f"poses have collapsed in the plane of the image: the in-plane angles keep to one direction ({uneven:.2f}; "
        f"even: 0, one angle: 1), which no preparation of a specimen does; {TRY_AGAIN}"
    )


def pose_in_z(
    z: Float[np.ndarray, "n d"], rotation: Float[np.ndarray, "n 3 3"], classes: bool = False
) -> tuple[str | None, dict[str, Any]]:
    """Where z says how particles lay; and the figure itself, as metrics.json has it. z and pose of the same particles;
    nothing for fewer than 200. ``classes``: z is the place of a class."""
    usable = np.flatnonzero(np.isfinite(z).all(1))
    if len(usable) < FEWEST_POSES or not z.shape[1] or np.ptp(z[usable], axis=0).max() < 1e-9:
        return None, {}
    some = usable[np.random.default_rng(0).permutation(len(usable))[:COMPARED]]
    values = (z[some] - z[some].mean(0)) / np.maximum(z[some].std(0), 1e-9)
    told = mutual_information(rotation[some].reshape(len(some), 9).astype(np.float64), values.astype(np.float64))
    how = f"of z and the pose of {told.particles} particles, by nearest neighbours; by chance {told.chance:z.2f} nats"
    figure = {"pose_z_information": {"value": told.nats, "unit": "nats", "how": how}}
    if told.sigmas < SIGMAS or told.explained < TOLD:
        return None, figure
    nats = f"their mutual information is {told.nats:z.2f} nats ({told.chance:z.2f} by chance)"
    return (
        f"classes and poses go together: {nats}, so that particles of one shape are in classes of their own by how "
        "they lay, or those of several shapes share one, each with poses of its own; try other numbers of classes "
        "(--set classes=) and another seed (--set seed=1), or classes of the poses of one map (-m refine, then -m "
        "classify at these)"
        if classes
        else f"z carries the pose: {nats}, as much as of normal variables with R² = {told.explained:.2f}, so that a "
        "part of the landscape is no motion; try a smaller z_dim, --set objective.beta=1, a price on it where an "
        "encoder gives z (--set independence=100), or better poses (-m refine, then z at these)"
    ), figure


def crowded_views(rotation: Float[Tensor, "n 3 3"], group: Float[Tensor, "g 3 3"] | None = None) -> str | None:
    """Where most particles are seen along one axis, each in all its equal poses."""
    axes = directions(3).to(rotation.device)
    equal = torch.eye(3)[None] if group is None else group
    near = axes.new_zeros(len(axes))
    for view in rotation[:, 2].double().split(AT_ONCE // len(equal) + 1):
        turned = torch.einsum("ni,gij->gnj", view, equal.to(view)).flatten(0, 1)
        near += ((turned @ axes.T).abs() >= math.cos(math.radians(NEAR_DEG))).sum(0)
    share = near / (len(rotation) * len(equal))
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
        "the poses have collapsed onto those of a flat or symmetric object, copies of either hand mixed; see whether "
        "other starts end elsewhere (-m abinitio with another --seed); where an encoder gives the poses, let more "
        "turned copies count (--set pose.copies=quarter-turns --set pose.mirrored=true)"
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
        f"is symmetric, refine from this map with its group (-m refine --set reference=MAP --set symmetry=C{fold})"
    )


def _band(map_: Tensor, shells: float) -> int:
    return max(4, min(map_.shape[-1] // 2 - 1, 32, round(shells)))


def _words(axis: list[float]) -> str:
    return ", ".join(f"{part:.2f}" for part in axis)
