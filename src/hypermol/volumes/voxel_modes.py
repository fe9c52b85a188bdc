"""A family of positive maps: a shared one, and a few further ones in amounts that follow z."""

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

STRIDE, MODE_STRIDE = 3.0, 0.75
"""Units of the shared map and of modes, for one learning rate to suit them and the network: the map that all
share moves four times as fast as what is told apart, and is found first."""
FAINT = 0.05
"""Size of the modes at first, where ``ROUGHNESS`` is that of the map."""
LEAST = 0.1
"""Of the signal's amplitude in the first shell, what every shell is taken to have at least."""
LEAK = 0.1
POINTS = 64


@register("volume", "voxel-modes")
@dataclasses.dataclass(frozen=True)
class VoxelModes:
    """softplus(V₀ + Σ_j f_j(z) V_j): maps V by their Hartley transforms, and f by a small network of z, which begins as
    the lowest cosines over z from 0 to 1 and always has mean 0 and deviation 1 there.

    Ours, not the paper's. As f has no mean, gradients that all conformations share do not reach the V_j, whose own
    ones are small beside them, and Adam moves each at its own pace; a convolutional network (``map-generator``) is one
    set of weights for both, and the shared part leads it. Coefficients of transforms are in units of the data's
    amplitude in their shell: slices crowd at low frequencies, which would else lead the step of every voxel.
    """

    z_dim: Annotated[Count, "dimensions of z"] = 1
    modes: Annotated[Count, "maps beside the shared one"] = 3
    hidden: Annotated[Count, "units in each of the two layers that make amounts of z"] = 32

    words = "positive voxels, a few modes of them in amounts that follow z"
    shared = ("map",)

    def build(self, context: BuildContext) -> ModeVolume:
        """A faint uneven ball, by the run's seed."""
        return ModeVolume(self, context)


class ModeVolume(DensityVolume):
    """The working part of a ``VoxelModes``."""

    points: Tensor
    amplitude: Tensor

    def __init__(self, spec: VoxelModes, context: BuildContext) -> None:
        super().__init__(spec.z_dim, context)
        shape, count, hidden = (self.box, self.box, self.box), spec.modes, spec.hidden
        self.map = nn.Parameter(ROUGHNESS / STRIDE * torch.randn(shape))
        self.modes = nn.Parameter(FAINT / MODE_STRIDE * torch.randn(count, *shape))
        self.first, self.second = nn.Linear(spec.z_dim, hidden), nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, count)
        steps = (torch.arange(POINTS) + 0.5) / POINTS
        # the same steps in each dimension, in orders of their own
        orders = [steps[torch.arange(POINTS) * (2 * dim + 1) % POINTS] for dim in range(spec.z_dim)]
        self.register_buffer("points", torch.stack(orders, 1), persistent=False)
        self.register_buffer("amplitude", _amplitude(self.box, context.signal_amplitude.float()))

    def amounts(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """f(z), of mean 0 and variance 1 over z from 0 to 1."""
        among = self._amounts(self.points)
        return (self._amounts(z) - among.mean(0)) / among.std(0, correction=0)

    def raw(self, z: Float[Tensor, "n d"] | None) -> Float[Tensor, "n box box box"]:
        """See DensityVolume. Raises ConfigError without z."""
        if z is None:
            raise ConfigError("volume (voxel-modes): a map is made from a z")
        maps = self._voxels(torch.cat([STRIDE * self.map[None], MODE_STRIDE * self.modes]))
        return maps[0] + torch.einsum("nk,kzyx->nzyx", self.amounts(z.to(maps)), maps[1:])

    def _voxels(self, coefficients: Float[Tensor, "n d d d"]) -> Float[Tensor, "n d d d"]:
        """Their Hartley transforms, which is its own inverse."""
        found = torch.fft.fftn(self.amplitude * coefficients, dim=(-3, -2, -1), norm="ortho")
        return found.real - found.imag

    def _amounts(self, z: Tensor) -> Tensor:
        found = leaky_relu(self.first(2 * z - 1), LEAK)
        found = self.last(leaky_relu(self.second(found), LEAK))
        number = torch.arange(found.shape[1], device=z.device)
        order = 1 + number // self.z_dim
        return found + math.sqrt(2) * torch.cos(math.pi * order * z[:, number % self.z_dim])


def _amplitude(box: int, signal: Float[Tensor, " s"]) -> Float[Tensor, "d d d"]:
    """The data's amplitude per shell at each coefficient of a transform, of mean square 1 within the images' circle.

    Beyond it coefficients move as those of the last shell: no image shows them, positive densities need them."""
    k = torch.fft.fftfreq(box) * box
    shell = (k[:, None, None] ** 2 + k[:, None] ** 2 + k**2).sqrt().round().long()
    found = (signal / signal[1]).clamp(LEAST, 1.0)[shell.clamp(1, len(signal) - 1)]
    return found / found[shell < len(signal)].square().mean().sqrt()
