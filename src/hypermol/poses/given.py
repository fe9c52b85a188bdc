"""The pose that the input file states."""

from __future__ import annotations

import dataclasses
from typing import Any

from torch import Tensor, nn

from hypermol.errors import ConfigError
from hypermol.posteriors import Hypotheses
from hypermol.specs import BuildContext, register


@register("pose", "given")
@dataclasses.dataclass(frozen=True)
class GivenPose:
    """Rotation and shift from the file: H = 1, nothing to learn."""

    needs_poses = True

    def build(self, context: BuildContext) -> nn.Module:
        """The estimator."""
        return GivenPoseEstimator()


class GivenPoseEstimator(nn.Module):
    """Reads the batch's own poses."""

    def forward(self, batch: Any, draws: Any, rows: dict[str, Tensor]) -> Hypotheses:
        """Hypotheses with rotation [B, 1, 3, 3] and shift [B, 1, 2 or 3] Å. Raises ConfigError without poses."""
        if batch.rotation is None or batch.shift is None:
            raise ConfigError(
                "these particles have no poses, and this method needs them (rlnAngleRot/Tilt/Psi, alignments3D/pose)"
            )
        return Hypotheses(rotation=batch.rotation[:, None], shift=batch.shift[:, None])
