"""The pose of no particle: a pose drawn from what poses are known or taken to be distributed like."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

from torch import Tensor, nn

from hypermol.errors import ConfigError
from hypermol.imaging import quaternion_to_matrix
from hypermol.posteriors import Hypotheses
from hypermol.specs import BuildContext, NonNegative, register


@register("pose", "drawn")
@dataclasses.dataclass(frozen=True)
class DrawnPose:
    """Rotation and shift from a prior, as Algorithm 1 of Gupta et al. 2020 (Multi-CryoGAN) draws them; nothing is
    inferred. The paper's: rotations even over SO(3), no shift."""

    rotations: Annotated[
        Literal["even", "given"],
        "even over all rotations; or those that the file gives, each to another particle: of views that are not even",
    ] = "even"
    shift_px: Annotated[NonNegative, "shifts are even within ± this in each direction, pixels; 0 as in the paper"] = 0.0

    words = "nothing: poses are drawn"

    @property
    def needs_poses(self) -> bool:
        """Whether the particles must come with poses."""
        return self.rotations == "given"

    def build(self, context: BuildContext) -> nn.Module:
        """The prior to draw from."""
        return PosePrior(self.rotations == "given", self.shift_px)


class PosePrior(nn.Module):
    """Draws one pose for each particle of a batch."""

    def __init__(self, given: bool, shift_px: float) -> None:
        super().__init__()
        self.given, self.shift_px = given, shift_px

    def forward(self, batch: Any, draws: Any, rows: dict[str, Tensor]) -> Hypotheses:
        """rotation [B, 1, 3, 3], shift [B, 1, 2 or 3] Å. Raises ConfigError where given ones are wanted and missing."""
        if self.given:
            if batch.rotation is None:
                raise ConfigError("pose.rotations = given: these particles have no poses; say pose.rotations=even")
            rotation = batch.rotation.roll(1, 0)  # of another particle: an image and its copy share no pose
        else:
            rotation = quaternion_to_matrix(draws.normal("rotation", 4))
        reach = self.shift_px * batch.pixel_size
        shift = reach * (2 * draws.uniform("shift", batch.shift_dim) - 1)
        return Hypotheses(rotation=rotation[:, None], shift=shift.to(rotation)[:, None])
