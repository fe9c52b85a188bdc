"""FourierNet: a map in Fourier space as a sine network times the exponential of another (cryoAI)."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import torch
from torch import Tensor

from hypermol.networks import SineNetwork
from hypermol.shapes import Complex, Float
from hypermol.specs import BuildContext, Count, Positive, register
from hypermol.volumes.base import Volume
from hypermol.volumes.field import shell_envelope


@register("volume", "fourier-net")
@dataclasses.dataclass(frozen=True)
class FourierNet:
    """exp(E(k)) · S(k): sine networks (SIREN, Sitzmann et al. 2020) for the envelope and for what it holds.

    Levy et al. 2022, ECCV (cryoAI): a molecule's transform spans orders of magnitude over a few shells, which the
    exponential provides. Real and imaginary part have an envelope each. k is scaled so that Nyquist is 1.
    """

    z_dim: Annotated[Literal[0], "no z"] = 0
    hidden: Annotated[Count, "units of a layer"] = 256
    layers: Annotated[Count, "hidden layers of the sine network"] = 3
    envelope_layers: Annotated[Count, "hidden layers of the envelope"] = 2
    frequency: Annotated[Positive, "of its sines"] = 40.0
    envelope_frequency: Annotated[Positive, "of the envelope's"] = 30.0

    words = "sine network with an exponential envelope in Fourier space"

    def build(self, context: BuildContext) -> FourierNetVolume:
        """The network, its output scaled per shell by the noise."""
        return FourierNetVolume(self, context)


class FourierNetVolume(Volume):
    """The working part of a ``FourierNet``."""

    envelope: Tensor

    def __init__(self, spec: FourierNet, context: BuildContext) -> None:
        super().__init__()
        self.box, self.z_dim, self.autocast = context.box, 0, context.autocast
        self.content = SineNetwork(3, spec.hidden, spec.layers, 2, spec.frequency)
        self.exponent = SineNetwork(3, spec.hidden, spec.envelope_layers, 2, spec.envelope_frequency)
        self.register_buffer("envelope", shell_envelope(context))

    def values(self, k: Float[Tensor, "n p 3"], z: Float[Tensor, "n d"] | None) -> Complex[Tensor, "n p"]:
        """V(k); see Volume. One half of space is learned and the other follows: V(-k) = V(k)*."""
        sign = torch.where(k[..., 0] < 0, -1.0, 1.0).to(k.dtype)
        inside = 2 * k * sign.unsqueeze(-1)
        with torch.autocast(k.device.type, dtype=torch.bfloat16, enabled=self.autocast):
            found = self.exponent(inside).to(k.dtype).exp() * self.content(inside).to(k.dtype)
        shell = (k.norm(dim=-1) * self.box).round().long().clamp(max=len(self.envelope) - 1)
        real, imaginary = (found * self.envelope[shell].to(k.dtype).unsqueeze(-1)).unbind(-1)
        return torch.complex(real, imaginary * sign)
