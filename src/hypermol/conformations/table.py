"""Autodecoder: one z per particle, itself a parameter."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from torch import Tensor, nn

from hypermol.conformations.none import NoConformationEstimator
from hypermol.posteriors import Hypotheses
from hypermol.specs import BuildContext, Dimension, NonNegative, Positive, register


@register("conformation", "table")
@dataclasses.dataclass(frozen=True)
class LatentTable:
    """A row of z for each particle, moved by gradient; prior N(0, 1) (maximum a posteriori)."""

    z_dim: Annotated[Dimension, "dimensions of z; 0: one map for all"] = 8
    spread: Annotated[NonNegative, "deviation of the random start"] = 0.1
    learning_rate: Annotated[Positive, "of z, which moves once per pass: far above the network's"] = 0.05

    words = "z, from a table with a row per particle"

    @property
    def z_from(self) -> str:
        """See the room."""
        return "table" if self.z_dim else "nothing"

    def build(self, context: BuildContext) -> nn.Module:
        """The estimator; its rows live in the particle table under "z". Nothing to infer where there is no z."""
        return LatentTableEstimator() if self.z_dim else NoConformationEstimator()


class LatentTableEstimator(nn.Module):
    """Reads z from the batch's rows of the particle table."""

    def forward(self, batch: Any, pose: Hypotheses, draws: Any, rows: dict[str, Tensor]) -> Hypotheses:
        """z [B, 1, d]; divergence ½|z|² [B], minus the log of the prior up to a constant."""
        z = rows["z"]
        return Hypotheses(z=z[:, None], divergence=0.5 * z.square().sum(-1), differentiable=True)
