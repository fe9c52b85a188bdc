"""z → map by a convolutional network fed with fixed random tensors."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu

from hypermol.errors import ConfigError
from hypermol.shapes import Float
from hypermol.specs import BuildContext, Count, register
from hypermol.volumes.density import DensityVolume
from hypermol.volumes.positive_voxels import ROUGHNESS

LARGEST = 0.025
LEAK = 0.1
STRIDE = 20.0
"""Voxels beside the network are kept in units of so many, for one learning rate to suit both: a step moves an output of
the network through hundreds of weights at once, a voxel through one."""
FAINT = 0.1
"""At first conformations differ by so little of what the network would make."""


@register("volume", "map-generator")
@dataclasses.dataclass(frozen=True)
class MapGenerator:
    """Gupta, Phan, Yoo & Unser 2020 (Multi-CryoGAN), section 5: the input of the network is z₀ + α (z₁ - z₀), z₀ and z₁
    fixed tensors as large as the map, drawn evenly from 0 to 0.025. Of d dimensions: z₀ + Σ α_i (z_i - z₀).

    The network's layout is in their supplement, which is not public: here it halves the box twice and doubles it
    again, with the tensors of the way down joined on the way up (Çiçek et al. 2016). ``base``: what all conformations
    share can be learned by the network alone, or voxel by voxel beside it, which is much quicker and not in the paper.
    """

    z_dim: Annotated[Count, "dimensions of z"] = 1
    channels: Annotated[Count, "of the first layer; twice and four times as many at half and a quarter of the box"] = 8
    base: Annotated[Literal["none", "voxels"], "voxels: the network adds to a map that all conformations share"] = (
        "voxels"
    )

    words = "convolutional generator of maps"

    @property
    def shared(self) -> tuple[str, ...]:
        """Parameters that have no part in what tells conformations apart."""
        return ("voxels",) if self.base == "voxels" else ()

    def build(self, context: BuildContext) -> GeneratedVolume:
        """The network, its fixed tensors drawn by the run's seed. Raises ConfigError for a box that is no multiple of
        4 px."""
        if context.box % 4:
            raise ConfigError(f"volume (map-generator): expected a box that is a multiple of 4 px, found {context.box}")
        return GeneratedVolume(self, context)


class GeneratedVolume(DensityVolume):
    """The working part of a ``MapGenerator``."""

    tensors: Tensor

    def __init__(self, spec: MapGenerator, context: BuildContext) -> None:
        super().__init__(spec.z_dim, context)
        draw = torch.Generator().manual_seed(context.seed)
        shape = (1 + spec.z_dim, self.box, self.box, self.box)
        self.register_buffer("tensors", LARGEST * torch.rand(shape, generator=draw))
        c = spec.channels
        self.fine, self.middle = _Layer(1, c), _Layer(c, 2 * c, stride=2)
        self.coarse = nn.Sequential(_Layer(2 * c, 4 * c, stride=2), _Layer(4 * c, 4 * c))
        self.up_middle, self.up_fine = _Layer(6 * c, 2 * c), _Layer(3 * c, c)
        self.last = nn.Conv3d(c, 1, 3, padding=1)
        self.shared = spec.base == "voxels"
        if self.shared:
            self.voxels = nn.Parameter(ROUGHNESS / STRIDE * torch.randn(self.box, self.box, self.box))
            with torch.no_grad():
                self.last.weight.mul_(FAINT)

    def raw(self, z: Float[Tensor, "n d"] | None) -> Float[Tensor, "n box box box"]:
        """See DensityVolume. Raises ConfigError without z."""
        if z is None:
            raise ConfigError("volume (map-generator): a map is made from a z")
        # of unit variance, so that the first layer sees where on the segment a z lies
        unit = (self.tensors - LARGEST / 2) * (12**0.5 / LARGEST)
        mixed = unit[0] + torch.einsum("nd,dzyx->nzyx", z.to(unit), unit[1:] - unit[0])
        fine = self.fine(mixed[:, None])
        middle = self.middle(fine)
        up = _doubled(self.coarse(middle))
        up = _doubled(self.up_middle(torch.cat([up, middle], 1)))
        made = self.last(self.up_fine(torch.cat([up, fine], 1)))[:, 0]
        return made + STRIDE * self.voxels if self.shared else made


class _Layer(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(inputs, outputs, 3, padding=1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        return leaky_relu(self.convolution(x), LEAK)


def _doubled(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2, mode="nearest")
