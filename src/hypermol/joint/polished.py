"""An encoder whose answers are kept in the particle table and made better there: by local search, then by gradient."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from torch import Tensor, nn

from hypermol.imaging import s2s2_to_matrix
from hypermol.joint.encoder import AmortisedEncoder
from hypermol.poses import NearLevels
from hypermol.posteriors import Hypotheses
from hypermol.specs import BuildContext, Count, NonNegative, Positive, register


@register("pose", "polished-encoder")
@dataclasses.dataclass(frozen=True)
class PolishedEncoder(AmortisedEncoder):
    """``AmortisedEncoder`` while it learns; then a row of pose and z per particle, which begins with what the encoder
    says, is searched for near it, and moves by gradient."""

    reach_deg: Annotated[NonNegative, "how far from the encoder's answers poses are searched for, degrees"] = 30.0
    step_deg: Annotated[Positive, "between the rotations that are tried first, degrees"] = 15.0
    first_band: Annotated[Count, "shells compared at first"] = 6
    turn_rate: Annotated[Positive, "length of a gradient step of a rotation, radians"] = 0.005
    shift_rate: Annotated[Positive, "length of a gradient step of a shift, pixels"] = 0.05
    z_rate: Annotated[Positive, "length of a gradient step of z"] = 0.05

    words = "pose and z, by an encoder, then local search"
    compares_clusters = True

    def build(self, context: BuildContext) -> nn.Module:
        """The encoder, and what is read from the table once there is something."""
        return PolishedEstimator(super().build(context))

    @property
    def levels(self) -> NearLevels:
        """The search near the encoder's answers."""
        return NearLevels(self.reach_deg, self.step_deg, self.first_band)


class PolishedEstimator(nn.Module):
    """``encoder`` where the batch's rows hold no pose."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, batch: Any, draws: Any, rows: dict[str, Tensor]) -> Hypotheses:
        """rotation [B, H, 3, 3], shift [B, H, 2] Å and z [B, H, d]; H = 1 from the table, where the divergence of z is
        ½|z|², minus the log of its prior up to a constant."""
        if "rotation" not in rows:
            found: Hypotheses = self.encoder(batch, draws, rows)
            return found
        turned, z = rows["rotation"], rows.get("z")
        rotation = s2s2_to_matrix(turned[..., :2].mT.flatten(-2))
        divergence = None if z is None else 0.5 * z.square().sum(-1)
        return Hypotheses(
            rotation=rotation[:, None],
            shift=rows["shift"][:, None],
            z=None if z is None else z[:, None],
            divergence=divergence,
            differentiable=True,
        )
