"""Phases of methods whose encoder answers for pose and z: poses first, z later (Levy et al. 2022, §3.5)."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Annotated

from torch import Tensor

from hypermol.engine import Draws, Phase
from hypermol.errors import ConfigError
from hypermol.joint import Z_DRAWN, Z_HEAD
from hypermol.methods.composition import Training
from hypermol.specs import BuildContext, Count, Portion, Share, register

if TYPE_CHECKING:
    from hypermol.methods.composition import Composition, Model


@register("phase", "poses-only")
@dataclasses.dataclass(frozen=True)
class PosesOnly:
    """z is drawn from N(0, 1) and not inferred, until a number of images has been seen: a consensus map comes first.

    Poses and map learn; the layers that give z stay as they began. Without z it is training like any other.
    """

    name: str = "poses only"
    images: Annotated[Count, "particles seen before z is inferred, the same one again counted again"] = 1_500_000
    batch_size: Annotated[Count, "particles per step"] = 128
    march_start: Annotated[Share, "share of Nyquist at which the resolution begins; 1: all of it from the start"] = 1.0
    march_end: Annotated[Portion, "share of these images after which the resolution is full"] = 0.7

    def grown(self, method: Composition) -> Composition:
        """The method as it goes on after this phase."""
        return method

    def check(self, method: Composition) -> None:
        """Raises ConfigError where z is not an encoder's."""
        if method.conformation.kind != "with-pose":
            raise ConfigError(
                f"{method.name}: phase {self.name!r} needs conformation = with-pose, found {method.conformation.kind}"
            )

    def planned(self, method: Composition, model: Model, context: BuildContext) -> tuple[Phase, ...]:
        """One phase, which ends in the middle of a pass where the number says so."""
        passes = max(1, math.ceil(self.images / max(1, context.count)))
        z_dim = method.conformation.z_dim
        moving = tuple(name for name, _ in model.named_parameters() if f".{Z_HEAD}." not in name)
        phase = Training(self.name, passes, self.batch_size, self.march_start, self.march_end)
        told = model.varied(told=DrawnZ(z_dim)) if z_dim else model
        return (
            dataclasses.replace(method.gradient_phase(phase, told, context, parameters=moving), images=self.images),
        )


@dataclasses.dataclass(frozen=True)
class DrawnZ:
    """z of each particle from its prior N(0, 1), [B, d]."""

    z_dim: int

    def __call__(self, draws: Draws) -> dict[str, Tensor]:
        return {Z_DRAWN: draws.normal("z from its prior", self.z_dim)}
