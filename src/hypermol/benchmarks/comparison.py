"""Maps against the truth: per particle at its own z, and the one consensus map."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from hypermol.benchmarks.figures import FSC_AT_Z, Figures, figure
from hypermol.metrics import fsc, fsc_mean, resolution
from hypermol.simulation import AT_Z, GAIN, GAIN_HOW, MEAN, MOVING, WHOLE, Truth, gain_of, map_curves, truth_masks


@dataclass(frozen=True)
class MapScore:
    """Maps of some particles are held against their own true maps, in masks that come from the truth."""

    truth: Truth
    particles: np.ndarray

    @cached_property
    def masks(self) -> dict[str, Tensor]:
        """The whole molecule, and the part that moves, where something does."""
        return truth_masks(self.truth)

    @cached_property
    def mean(self) -> Tensor:
        """The noise-free consensus [D, D, D]."""
        return self.truth.mean_map().float()

    def figures(self, maps: Iterable[Tensor]) -> Figures:
        """Mean FSC in the mask of the molecule beside that of the noise-free mean map, and the gain where it moves.

        maps: [D, D, D], one for each particle, in the truth's frame.
        """
        curves = map_curves(self.truth, self.particles, maps, {MEAN: self.mean}, self.masks)
        how = (
            f"{len(self.particles)} particles, FSC with their own true maps in one truth-derived mask, mean over shells"
        )
        figures = {
            FSC_AT_Z: figure(float(fsc_mean(curves[WHOLE][AT_Z]).mean()), how),
            "FSC of the noise-free mean map": figure(float(fsc_mean(curves[WHOLE][MEAN]).mean()), how),
        }
        return figures | ({GAIN: figure(gain_of(curves), GAIN_HOW)} if MOVING in curves else {})

    def of_consensus(self, map_: Tensor) -> Figures:
        """The one map of a program against the noise-free mean map."""
        curve = fsc(map_.float(), self.mean, self.masks[WHOLE])
        reached = resolution(curve, self.truth.pixel_size, 0.5)
        how = "consensus map against the noise-free mean map, truth-derived mask"
        return {
            "resolution of the consensus": figure(reached, f"{how}, FSC 0.5", "Å", "lower"),
            "FSC of the consensus": figure(float(fsc_mean(curve)), f"{how}, mean over shells"),
        }
