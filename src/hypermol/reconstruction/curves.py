"""FSC between half maps: unmasked, masked, phase-randomised, corrected; and what they rest on."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hypermol.metrics import corrected_fsc, fsc, phase_randomised, resolution
from hypermol.shapes import Float

RANDOMISE_BELOW = 0.8
"""Phases are randomised from the shell where the unmasked FSC first falls below this, as RELION does."""

THRESHOLD = 0.143


@dataclass(frozen=True, eq=False)
class HalfMapCurves:
    """FSC per shell round(|k| D), each [D/2] with FSC[0] = 1; shell s lies at s / (D · pixel_size) 1/Å.

    masked: both half maps times one soft mask. randomised: the same, the phases of both drawn anew from shell
    ``first_randomised`` on: correlation that the mask alone makes. corrected: masked with that taken out (Chen et
    al. 2013, Ultramicroscopy 135, eq. 4). independence: "accumulators", halves that share poses (and z): good to
    regularise with, no measure of resolution unless the poses were found independently; "models" or "runs" where
    whoever made the poses knows better.
    """

    unmasked: Float[Tensor, " s"]
    masked: Float[Tensor, " s"]
    randomised: Float[Tensor, " s"]
    corrected: Float[Tensor, " s"]
    first_randomised: int
    pixel_size: float
    independence: str = "accumulators"

    def named(self) -> dict[str, Float[Tensor, " s"]]:
        """The four curves by name."""
        return {name: getattr(self, name) for name in ("unmasked", "masked", "randomised", "corrected")}

    def resolution(self, name: str = "corrected", threshold: float = THRESHOLD) -> float:
        """Å where the named curve first falls below ``threshold`` (infinite where it never rises above it)."""
        return resolution(self.named()[name], self.pixel_size, threshold)


def half_map_curves(
    first: Float[Tensor, "d d d"],
    second: Float[Tensor, "d d d"],
    mask: Float[Tensor, "d d d"],
    pixel_size: float,
    seed: int = 0,
) -> HalfMapCurves:
    """All four curves of two unfiltered half maps; ``seed`` draws the random phases."""
    unmasked = fsc(first, second)
    start = first_below(unmasked, RANDOMISE_BELOW)
    generator = torch.Generator().manual_seed(seed)
    randomised = fsc(phase_randomised(first, start, generator), phase_randomised(second, start, generator), mask)
    masked = fsc(first, second, mask)
    corrected = corrected_fsc(masked, randomised, start)
    return HalfMapCurves(unmasked, masked, randomised, corrected, start, pixel_size)


def first_below(curve: Float[Tensor, " s"], level: float) -> int:
    """The first shell from 1 on where the curve is below ``level`` or not a number; the number of shells if none is."""
    below = torch.nonzero(~(curve[1:] >= level))
    return int(below[0]) + 1 if len(below) else len(curve)
