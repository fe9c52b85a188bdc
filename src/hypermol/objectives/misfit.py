"""What a volume does not explain yet, counted as noise.

A map or a network that is still wrong leaves far more unexplained than the noise, most of it in the low shells. Under
the noise alone a likelihood is then far too sure, of poses and of z. So images are compared under noise and misfit
together, E|X - C V|² per shell, learned as the volume grows: refinement programs learn their noise from residuals alike
(Scheres 2012, J. Struct. Biol. 180:519, eq. 7). Of images without any noise it is all there is.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from hypermol.imaging import per_pixel
from hypermol.shapes import Complex, Float
from hypermol.specs import BuildContext

LEAST = 1e-6
"""Share of the signal that counts as unexplained at least: no arithmetic here is better."""
TINY = 1e-6


def all_signal(context: BuildContext) -> Float[Tensor, " s"]:
    """The misfit of no map at all. That of shell 0 as of shell 1: images whose mean was taken out show nothing there,
    while maps have a mean."""
    power = context.signal_amplitude.double().square()
    return torch.cat([power[1:2], power[1:]])


def with_misfit(batch: Any, misfit: Float[Tensor, " s"]) -> Any:
    """The batch, its noise variance σ² + C² ``misfit`` of the shell: |V|² of what is not explained."""
    more = batch.ctf.square() * per_pixel(misfit.to(batch.variance), batch.lattice)
    return dataclasses.replace(batch, variance=batch.variance + more)


def widening(batch: Any, compared: Any) -> Float[Tensor, "b 1"] | float:
    """What -log p gains by a noise that is wider than the batch's own, so that likelihoods under either compare."""
    if compared is batch:
        return 0.0
    ratio = (compared.variance / batch.variance.clamp(min=1e-30)).log() * batch.lattice.weight
    return (ratio.sum(-1) * batch.valid).sum(-1, keepdim=True)


class Misfit(nn.Module):
    """The misfit of a volume that is trained: ``left`` over ``power``, running means per particle of sums per shell
    (``told``), both part of the state."""

    left: Tensor
    power: Tensor
    least: Tensor  # a buffer as well: a run that is read again does not know its signal

    def __init__(self, context: BuildContext) -> None:
        super().__init__()
        whole = all_signal(context).float()
        self.register_buffer("left", whole.clone())
        self.register_buffer("power", torch.ones_like(whole))
        self.register_buffer("least", LEAST * whole)

    def forward(self, batch: Any) -> Any:
        """The batch with the misfit in its variance."""
        # where no CTF lets anything through the power decays to nothing, and what is left to chance
        return with_misfit(batch, torch.maximum(self.left / self.power.clamp(min=TINY), self.least))

    def told(self, batch: Any, residual: Complex[Tensor, "b j p"]) -> dict[str, Tensor]:
        """Sums over the batch, as it was given, of |residual|² - σ² and of C²; shells beyond its band stay."""
        weight = batch.lattice.weight * batch.valid[..., None]
        square = (residual.abs().square() - batch.variance) * weight
        shells = batch.lattice.band_limit + 1
        found = {}
        for name, pixels in (("left", square), ("power", batch.ctf.square() * weight)):
            kept = getattr(self, name)[shells:] * batch.size
            seen = pixels.new_zeros(shells).index_add_(0, batch.lattice.shell, pixels.sum((0, 1)))
            found[name] = torch.cat([seen, kept.to(seen)])
        return found
