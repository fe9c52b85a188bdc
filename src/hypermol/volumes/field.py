"""Coordinate network: V(k, z) is a function of k, evaluated only where an image has a pixel."""

from __future__ import annotations

import dataclasses
from typing import Literal

import torch
from torch import Tensor

from hypermol.errors import ConfigError
from hypermol.kernels import slice_grid, volume_to_grid
from hypermol.networks import GaussianEncoding, GeometricEncoding, ResidualMLP
from hypermol.shapes import Complex, Float
from hypermol.specs import BuildContext, Count, Dimension, Positive, register
from hypermol.volumes.base import Volume, sampled_maps


@register("volume", "fourier-field")
@dataclasses.dataclass(frozen=True)
class FourierField:
    """The decoder of cryoDRGN (Zhong et al. 2020, §3.1): encoding of k, z joined at the first layer, residual MLP.

    ``layers`` residual layers of ``hidden`` units. ``encoding``: "geometric" (the paper, eq. 7-8; its highest tenth is
    left out for noisy data) or "gaussian" (random features). ``output``: "fourier" (one evaluation per ±k pair,
    two outputs) or "hartley" (two evaluations, one output each). ``base``: "consensus" adds the back projection of
    all images, so that the network learns only how a conformation differs from it (not in the paper). z_dim 0:
    homogeneous.
    """

    z_dim: Dimension = 8
    hidden: Count = 256
    layers: Count = 3
    encoding: Literal["geometric", "gaussian"] = "gaussian"
    output: Literal["fourier", "hartley"] = "fourier"
    width: Positive = 0.15
    base: Literal["none", "consensus"] = "none"

    words = "coordinate network in Fourier space"

    def build(self, context: BuildContext) -> FieldVolume:
        """The network, its output scaled by the signal's amplitude per shell.

        Raises ConfigError where a consensus map is asked for and there is none.
        """
        consensus = None
        if self.base == "consensus":
            if context.consensus is None:
                raise ConfigError("volume.base = consensus needs poses: the consensus map is their back projection")
            consensus = context.consensus()
        return FieldVolume(self, context, consensus)


class FieldVolume(Volume):
    """The working part of a ``FourierField``."""

    envelope: Tensor
    consensus: Tensor

    def __init__(self, spec: FourierField, context: BuildContext, consensus: Tensor | None) -> None:
        super().__init__()
        self.box, self.z_dim, self.autocast = context.box, spec.z_dim, context.autocast
        self.hartley = spec.output == "hartley"
        if spec.encoding == "gaussian":
            self.encoding: torch.nn.Module = GaussianEncoding(self.box, width=spec.width, seed=context.seed)
        else:
            self.encoding = GeometricEncoding(self.box, highest=0.9)
        outputs = 1 if self.hartley else 2
        self.network = ResidualMLP(self.encoding.size, spec.hidden, spec.layers, outputs, context=spec.z_dim)
        self.register_buffer("envelope", context.signal.float())
        self.has_base = consensus is not None
        if consensus is not None:
            self.register_buffer("consensus", consensus.float())
            self.network.last.scale_(0.1)  # begin near the consensus
        self._grid: Tensor | None = None

    def values(self, k: Float[Tensor, "n p 3"], z: Float[Tensor, "n d"] | None) -> Complex[Tensor, "n p"]:
        """V(k, z); see Volume."""
        learned = self._learned(k, z)
        return learned + self._base(k) if self.has_base else learned

    @torch.no_grad()
    def maps(self, z: Float[Tensor, "n d"] | None, chunk: int = 32768) -> Float[Tensor, "m box box box"]:
        """Real-space maps; see Volume. The consensus is added as the map that it is: its grid, made for interpolation
        between nodes, holds the consensus over sinc² at the nodes themselves."""
        learned = sampled_maps(self._learned, self.box, z, self.envelope.device, chunk)
        return learned + self.consensus if self.has_base else learned

    def _learned(self, k: Tensor, z: Tensor | None) -> Tensor:
        scale = self._amplitude(k)
        if self.hartley:
            plus, minus = self._network(torch.cat([k, -k], -2), z)[..., 0].chunk(2, -1)
            return torch.complex((plus + minus) / 2 * scale, (minus - plus) / 2 * scale)
        # one half of space is learned and the other follows: V(-k) = V(k)*
        sign = torch.where(k[..., 0] < 0, -1.0, 1.0).to(k.dtype)
        real, imaginary = self._network(k * sign.unsqueeze(-1), z).unbind(-1)
        return torch.complex(real * scale, imaginary * (sign * scale))

    def _network(self, k: Tensor, z: Tensor | None) -> Tensor:
        encoded = self.encoding(k)
        with torch.autocast(k.device.type, dtype=torch.bfloat16, enabled=self.autocast):
            return self.network(encoded, z).to(k.dtype)

    def _amplitude(self, k: Tensor) -> Tensor:
        shell = (k.norm(dim=-1) * self.box).round().long().clamp(max=len(self.envelope) - 1)
        return self.envelope[shell].to(k.dtype)

    def _base(self, k: Tensor) -> Tensor:
        # the consensus never moves, so its oversampled grid is made once
        if self._grid is None or self._grid.device != k.device:
            self._grid = volume_to_grid(self.consensus.detach().to(k.device))
        with torch.no_grad():
            return slice_grid(self._grid, k.detach(), self.box)[..., 0]
