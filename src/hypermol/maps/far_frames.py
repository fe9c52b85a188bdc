"""Rotations and hands in which one map differs little from another, from all that there are."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from hypermol.imaging import geodesic_angle_deg, so3_grid, spacing_deg
from hypermol.maps.align import other_hand
from hypermol.maps.resize import at_most
from hypermol.shapes import Float

ORDER, SIZE = 2, 16
"""Of the grid of rotations (15°), and the pixels of the maps that are compared."""
KEPT, BATCH = 6, 64


def far_frames(map_: Float[Tensor, "d d d"], fixed: Float[Tensor, "d d d"]) -> list[tuple[Tensor, bool]]:
    """(rotation [3, 3] about the centre, mirrored first) of the six placements with the least sum of absolute
    differences of voxels, no two of one hand within one spacing of a 15° grid; of maps brought to 16 pixels."""
    moving, still = (at_most(one, SIZE) for one in (map_, fixed))
    rotations = so3_grid(ORDER).to(moving)
    hands = (moving, other_hand(moving))
    apart = torch.stack([_differences(hand, still, rotations) for hand in hands])
    kept: list[tuple[Tensor, bool]] = []
    for flat in apart.flatten().argsort().tolist():
        hand, rotation = bool(flat // len(rotations)), rotations[flat % len(rotations)].double().cpu()
        near = (float(geodesic_angle_deg(rotation, other)) for other, of_hand in kept if of_hand == hand)
        if all(angle > spacing_deg(ORDER) for angle in near):
            kept.append((rotation, hand))
        if len(kept) == KEPT:
            break
    return kept


def _differences(moving: Tensor, fixed: Tensor, rotations: Tensor) -> Tensor:
    """Sum over a ball of |map turned - fixed|, per rotation."""
    box = moving.shape[-1]
    axis = torch.arange(box).to(moving) - box // 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    inside = (x**2 + y**2 + z**2) < (box // 2) ** 2
    points, goal = torch.stack([x, y, z], -1)[inside], fixed[inside]
    found = []
    for some in rotations.split(BATCH):
        where = (2 * (points @ some + box // 2) + 1) / box - 1  # rows r·R: Rᵀ r, where the density at r came from
        values = grid_sample(moving.expand(len(some), 1, -1, -1, -1), where[:, None, None], align_corners=False)
        found.append((values.flatten(1) - goal).abs().sum(1))
    return torch.cat(found)
