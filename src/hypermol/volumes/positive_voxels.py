"""One map as voxels in real space that are never negative."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from hypermol.shapes import Float
from hypermol.specs import BuildContext, register
from hypermol.volumes.density import DensityVolume

ROUGHNESS = 0.1


@register("volume", "positive-voxels")
@dataclasses.dataclass(frozen=True)
class PositiveVoxels:
    """The volume of CryoGAN (Gupta, McCann, Donati & Unser 2021, IEEE Trans. Comput. Imaging 7:759): every voxel a
    parameter, no density negative, none outside a sphere."""

    z_dim: Annotated[Literal[0], "no z"] = 0

    words = "voxels in real space, never negative"
    shared = ("voxels",)

    def build(self, context: BuildContext) -> PositiveVoxelVolume:
        """A faint uneven ball, by the run's seed."""
        return PositiveVoxelVolume(context)


class PositiveVoxelVolume(DensityVolume):
    """The working part of a ``PositiveVoxels``."""

    def __init__(self, context: BuildContext) -> None:
        super().__init__(0, context)
        self.voxels = nn.Parameter(ROUGHNESS * torch.randn(self.box, self.box, self.box))

    def raw(self, z: Float[Tensor, "n d"] | None) -> Float[Tensor, "n box box box"]:
        """See DensityVolume."""
        return self.voxels[None]
