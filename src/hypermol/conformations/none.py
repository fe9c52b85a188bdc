"""Homogeneous: there is no conformation."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

from torch import Tensor, nn

from hypermol.posteriors import Hypotheses
from hypermol.specs import BuildContext, register


@register("conformation", "none")
@dataclasses.dataclass(frozen=True)
class NoConformation:
    """One volume for all particles."""

    z_dim: Annotated[Literal[0], "no z"] = 0

    words = "nothing per particle"
    z_from = "nothing"

    def build(self, context: BuildContext) -> nn.Module:
        """The estimator that says nothing."""
        return NoConformationEstimator()


class NoConformationEstimator(nn.Module):
    """Adds nothing to the pose."""

    def forward(self, batch: Any, pose: Hypotheses, draws: Any, rows: dict[str, Tensor]) -> Hypotheses:
        """Empty hypotheses."""
        return Hypotheses()
