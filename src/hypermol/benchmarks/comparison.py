"""Maps against the truth: per particle at its own z, and the one consensus map."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from hypermol.benchmarks.figures import FSC_AT_Z, GAIN, Figures, figure
from hypermol.metrics import fsc, fsc_mean, gain, resolution
from hypermol.simulation import Truth


@dataclass(frozen=True)
class MapScore:
    """Maps of some particles are held against their own true maps, in masks that come from the truth."""

    truth: Truth
    particles: np.ndarray

    @cached_property
    def masks(self) -> dict[str, Tensor]:
        """The whole molecule, and the part that moves, where something does."""
        masks = {"whole": self.truth.mask().float()}
        if self.truth.motion.moving.any():
            masks["moving"] = self.truth.moving_mask().float()
        return masks

    @cached_property
    def mean(self) -> Tensor:
        """The noise-free consensus [D, D, D]."""
        return self.truth.mean_map().float()

    def figures(self, maps: Iterable[Tensor]) -> Figures:
        """Mean FSC in the mask of the molecule beside that of the noise-free mean map, and the gain where it moves.

        The gain is that of curves averaged over particles: one particle whose own map is close to the mean map leaves
        no room for a ratio, and would outweigh all others.

        maps: [D, D, D], one for each particle, in the truth's frame.
        """
        rows: dict[str, list[Tensor]] = {}
        for particle, found in zip(self.particles, maps, strict=True):
            exact = self.truth.map(int(particle)).float()
            for region, mask in self.masks.items():
                for name, rival in (("z", found.float()), ("mean", self.mean)):
                    rows.setdefault(f"{region} {name}", []).append(fsc(rival, exact, mask))
        curves = {name: torch.stack(values) for name, values in rows.items()}
        how = (
            f"{len(self.particles)} particles, FSC with their own true maps in one truth-derived mask, mean over shells"
        )
        figures = {
            FSC_AT_Z: figure(float(fsc_mean(curves["whole z"]).mean()), how),
            "FSC of the noise-free mean map": figure(float(fsc_mean(curves["whole mean"]).mean()), how),
        }
        if "moving z" in curves:
            value = float(gain(curves["moving z"].mean(0), curves["moving mean"].mean(0)))
            how = (
                "(FSC - mean map's)/(1 - mean map's) of the mean curves, shells 2 to D/4 - 1, mask around what moves; "
                "0: nothing learned of motion, 1: the truth"
            )
            figures[GAIN] = figure(value, how)
        return figures

    def of_consensus(self, map_: Tensor) -> Figures:
        """The one map of a program against the noise-free mean map."""
        curve = fsc(map_.float(), self.mean, self.masks["whole"])
        reached = resolution(curve, self.truth.pixel_size, 0.5)
        how = "consensus map against the noise-free mean map, truth-derived mask"
        return {
            "resolution of the consensus": figure(reached, f"{how}, FSC 0.5", "Å", "lower"),
            "FSC of the consensus": figure(float(fsc_mean(curve)), f"{how}, mean over shells"),
        }
