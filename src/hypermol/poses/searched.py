"""A pose per particle, found by search or moved by gradient: rows of the particle table."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from hypermol.imaging import quaternion_to_matrix, s2s2_to_matrix
from hypermol.poses.grid_search import SearchLevels, order_for
from hypermol.poses.pruning import Pruning
from hypermol.poses.scored import sees_depth
from hypermol.posteriors import Hypotheses
from hypermol.shapes import Float
from hypermol.specs import BuildContext, Count, Dimension, Portion, Positive, Share, register


@register("pose", "searched")
@dataclasses.dataclass(frozen=True)
class SearchedPose:
    """Rotation and shift of each particle, kept in the table; random until the first search has found some.

    Phases say when they are searched for, and when gradients move them: the first two columns of the rotation (S2S2:
    Zhou et al. 2019), made orthonormal wherever they are read, and the shift.
    """

    first_order: Annotated[Dimension, "of the coarsest grid of rotations: 1: 30°, 2: 15°"] = 2
    last_order: Annotated[Dimension, "of the finest, where the band asks for it: 5: 1.9°, 6: 0.94°"] = 6
    first_band: Annotated[Count, "shells compared on the coarsest grid"] = 6
    growth: Annotated[Positive, "factor by which shells grow from grid to grid"] = 1.6
    linear: Annotated[bool, "shells grow by equal steps instead, up to the search's band at the finest grid"] = False
    kept: Annotated[Count, "most candidates that go on from a grid to the next"] = 8
    pruning: Annotated[Pruning, "which of them do: that number, by branch and bound, or by their posterior mass"] = (
        "number"
    )
    mass: Annotated[Share, "of the posterior that is kept, by mass"] = 0.999
    shift_range: Annotated[Portion, "how far a molecule may be off centre, in boxes"] = 0.08
    polish: Annotated[Dimension, "steps from the finest grid to the top of the likelihood near it"] = 2
    turn_rate: Annotated[Positive, "length of a gradient step of a rotation, radians"] = 0.005
    shift_rate: Annotated[Positive, "length of a gradient step of a shift, pixels"] = 0.05

    words = "pose, by search"
    needs_poses = False
    compares_clusters = True
    """Particles of one cluster of z are compared with one map."""

    def build(self, context: BuildContext) -> nn.Module:
        """The estimator; its rows live in the particle table under "rotation" and "shift"."""
        return SearchedPoseEstimator()

    def levels(self, band: int) -> SearchLevels:
        """The search up to a shell: grids as fine as that shell can tell apart."""
        last = max(self.first_order, min(self.last_order, order_for(band)))
        return SearchLevels(
            self.first_order,
            last,
            min(self.first_band, band),
            self.growth,
            band,
            self.shift_range,
            (self.kept,),
            pruning=self.pruning,
            mass=self.mass,
            linear=self.linear,
        )


class SearchedPoseEstimator(nn.Module):
    """Reads poses from the batch's rows of the particle table."""

    def forward(self, batch: Any, draws: Any, rows: dict[str, Tensor]) -> Hypotheses:
        """rotation [B, 1, 3, 3] and shift [B, 1, 2 or 3] Å; without rows, random rotations and no shift."""
        if "rotation" in rows:
            rotation, shift = orthonormal(rows["rotation"]), rows["shift"]
        else:
            rotation = quaternion_to_matrix(draws.normal("rotation", 4))
            shift = rotation.new_zeros(len(rotation), 3 if sees_depth(batch.tilt) else 2)
        return Hypotheses(rotation=rotation[:, None], shift=shift[:, None], differentiable=True)


def orthonormal(rotation: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3 3"]:
    """The rotation that the first two columns of a matrix stand for (S2S2)."""
    return s2s2_to_matrix(torch.cat([rotation[..., 0], rotation[..., 1]], -1))
