"""A family of positive maps: shared voxels, and a few further ones in amounts that follow z."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from hypermol.errors import ConfigError
from hypermol.shapes import Float
from hypermol.specs import BuildContext, Count, register
from hypermol.volumes.density import DensityVolume
from hypermol.volumes.positive_voxels import ROUGHNESS

STRIDE, MODE_STRIDE = 6.0, 1.5
"""Units of shared voxels and of modes, for one learning rate to suit them and the network: the map that all share moves
four times as fast as what is told apart, and is found first."""
FAINT = 0.05
"""Size of the modes at first, where ``ROUGHNESS`` is that of the map."""
LEAK = 0.1
POINTS = 64


@register("volume", "voxel-modes")
@dataclasses.dataclass(frozen=True)
class VoxelModes:
    """softplus(V₀ + Σ_j f_j(z) V_j): voxels V, and f by a small network of z, which begins as the lowest cosines over
    z from 0 to 1 and always has mean 0 and deviation 1 there.

    Ours, not the paper's: as V₀ has no part in f's mean, gradients that all conformations share do not reach the V_j,
    whose own ones are small beside them, and Adam moves each at its own pace. A convolutional network (``map-generator``)
    is one set of weights for both, and the shared part leads it."""

    z_dim: Annotated[Count, "dimensions of z"] = 1
    modes: Annotated[Count, "voxel maps beside the shared one"] = 3
    hidden: Annotated[Count, "units in each of the two layers that make amounts of z"] = 32

    words = "positive voxels, a few modes of them in amounts that follow z"
    shared = ("voxels",)

    def build(self, context: BuildContext) -> ModeVolume:
        """A faint uneven ball, by the run's seed."""
        return ModeVolume(self, context)


class ModeVolume(DensityVolume):
    """The working part of a ``VoxelModes``."""

    points: Tensor

    def __init__(self, spec: VoxelModes, context: BuildContext) -> None:
        super().__init__(spec.z_dim, context)
        shape, count, hidden = (self.box, self.box, self.box), spec.modes, spec.hidden
        self.voxels = nn.Parameter(ROUGHNESS / STRIDE * torch.randn(shape))
        self.modes = nn.Parameter(FAINT / MODE_STRIDE * torch.randn(count, *shape))
        self.first, self.second = nn.Linear(spec.z_dim, hidden), nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, count)
        steps = (torch.arange(POINTS) + 0.5) / POINTS
        # the same steps in each dimension, in orders of their own
        orders = [steps[torch.arange(POINTS) * (2 * dim + 1) % POINTS] for dim in range(spec.z_dim)]
        self.register_buffer("points", torch.stack(orders, 1), persistent=False)

    def amounts(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """f(z), of mean 0 and variance 1 over z from 0 to 1."""
        among = self._amounts(self.points)
        return (self._amounts(z) - among.mean(0)) / among.std(0)

    def raw(self, z: Float[Tensor, "n d"] | None) -> Float[Tensor, "n box box box"]:
        """See DensityVolume. Raises ConfigError without z."""
        if z is None:
            raise ConfigError("volume (voxel-modes): a map is made from a z")
        added = torch.einsum("nk,kzyx->nzyx", self.amounts(z.to(self.voxels)), self.modes)
        return STRIDE * self.voxels + MODE_STRIDE * added

    def _amounts(self, z: Tensor) -> Tensor:
        found = leaky_relu(self.first(2 * z - 1), LEAK)
        found = self.last(leaky_relu(self.second(found), LEAK))
        number = torch.arange(found.shape[1], device=z.device)
        order = 1 + number // self.z_dim
        return found + math.sqrt(2) * torch.cos(math.pi * order * z[:, number % self.z_dim])
