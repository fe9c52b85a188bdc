"""Coordinate network: V(k, z) is a function of k, evaluated only where an image has a pixel."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import torch
from torch import Tensor

from hypermol.errors import ConfigError
from hypermol.kernels import slice_grid, volume_to_grid
from hypermol.networks import GaussianEncoding, GeometricEncoding, ResidualMLP
from hypermol.shapes import Complex, Float
from hypermol.specs import BuildContext, Count, Dimension, NonNegative, Positive, register
from hypermol.volumes.base import Volume, sampled_maps


@register("volume", "fourier-field")
@dataclasses.dataclass(frozen=True)
class FourierField:
    """The decoder of cryoDRGN (Zhong et al. 2020, §3.1): encoding of k, z joined at the first layer, residual MLP.

    The geometric series is that of eq. 7-8 without its highest tenth, for noisy data. The consensus as ``base`` is not
    in the paper, nor a ``z_weight``. A new network's answer to z is chance, so that a new encoder learns at once to say
    nothing. A small answer at first (``z_weight``; for encoders, not for a table of z) leaves it time to learn more.
    """

    z_dim: Annotated[Dimension, "dimensions of z; 0: one map for all"] = 8
    hidden: Annotated[Count, "units of a layer"] = 256
    layers: Annotated[Count, "residual layers"] = 3
    encoding: Annotated[
        Literal["geometric", "gaussian"], "how a spatial frequency enters: the paper's series, or random features"
    ] = "gaussian"
    output: Annotated[
        Literal["fourier", "hartley"], "the complex transform at once, or the real Hartley transform, computed twice"
    ] = "fourier"
    width: Annotated[
        Positive, "extent of the random features as a share of the box; the molecule's, root mean square per axis"
    ] = 0.15
    base: Annotated[
        Literal["none", "consensus"], "consensus: learn only what differs from the back projection of all"
    ] = "none"
    z_weight: Annotated[NonNegative, "factor of the initial weights of z; 0: a network that begins as one map"] = 1.0

    words = "coordinate network in Fourier space"

    def build(self, context: BuildContext) -> FieldVolume:
        """The network, its output scaled per shell (``shell_envelope``).

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
        if self.network.context is not None:
            with torch.no_grad():
                self.network.context.weight.mul_(spec.z_weight)
        self.register_buffer("envelope", shell_envelope(context))
        self.has_base = consensus is not None
        if consensus is not None:
            self.register_buffer("consensus", consensus.float())
            # begin near the consensus: in each shell at most a tenth of the signal
            self.network.last.scale_(0.1 * float((context.signal_amplitude / self.envelope).amin()))
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


def shell_envelope(context: BuildContext) -> Float[Tensor, " s"]:
    """What the network's output is multiplied by in each shell: the amplitude of the noise.

    A shell is learned as fast as the square of this over the noise's power: all at one speed. With the amplitude of the
    signal here, coarse shells take all of the steps: after three epochs per-image FSC 0.54 and not 0.60 (hinge).
    """
    return torch.maximum(context.noise_amplitude, context.signal_amplitude / 10).float()  # there may be no noise
