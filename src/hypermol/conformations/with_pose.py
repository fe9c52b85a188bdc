"""z comes with the pose: one estimator answers for both."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from torch import nn

from hypermol.conformations.none import NoConformationEstimator
from hypermol.specs import BuildContext, Dimension, register


@register("conformation", "with-pose")
@dataclasses.dataclass(frozen=True)
class WithPose:
    """Leaves z to the estimator of the pose, which must answer for it (``joint.AmortisedEncoder``)."""

    z_dim: Annotated[Dimension, "dimensions of z; 0: one map for all"] = 8

    words = "both from one image"

    @property
    def z_from(self) -> str:
        """See the room."""
        return "encoder" if self.z_dim else "nothing"

    def build(self, context: BuildContext) -> nn.Module:
        """The estimator that adds nothing."""
        return NoConformationEstimator()
