"""Maps at any z of a finished run, from its particles themselves: whatever the method, regression on its z."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hypermol.errors import ConfigError
from hypermol.maps import read_map, write_map
from hypermol.methods.record import posed_particles, run_method, run_preparation
from hypermol.metrics import local_resolution, resolution
from hypermol.particles import ImageSource
from hypermol.reconstruction import (
    LEAST_PARTICLES,
    RegressionMap,
    nearest,
    neighbour_sizes,
    nested_half_maps,
    regression_map,
    sizes_within,
)
from hypermol.reconstruction.consensus import consensus
from hypermol.runs import Run

FEWEST = 50
"""Particles of a state that has a map of its own; those of fewer are mapped as if there were no states."""


@dataclasses.dataclass(frozen=True)
class NearbyImages:
    """The particles of a run, their z [N, d] and, where the method states it, its covariance [N, d, d]; a mask; the
    separate state [N] of each, where the method found some."""

    source: ImageSource
    z: np.ndarray
    covariance: np.ndarray | None
    mask: Tensor
    state: np.ndarray | None = None

    @staticmethod
    def of(run: Run) -> NearbyImages:
        """Reads the particles again. Raises ConfigError for a run without z or poses, or whose files have changed."""
        estimates = run.estimates() if (run.path / "estimates.npz").exists() else {}
        if "z" not in estimates:
            raise ConfigError(f"{run.path}: {run_method(run).name} has no z per particle to find neighbours by")
        particles = posed_particles(run)
        if not particles.has_poses:
            raise ConfigError(f"{run.path}: maps by regression need poses, and {particles.path} has none")
        covariance = estimates.get("z_normal_covariance", estimates.get("z_covariance"))
        source = ImageSource(particles, run_preparation(run))
        state = estimates["class_probability"].argmax(1) if "class_probability" in estimates else None
        return NearbyImages(source, estimates["z"], covariance, _mask(run, source), state)

    @property
    def enough(self) -> bool:
        """Whether there are particles enough for maps from their images."""
        return len(self.z) >= LEAST_PARTICLES

    def map_at(self, z: np.ndarray) -> RegressionMap:
        """The map at z [d]. Raises DataError where there are too few particles."""
        place = np.asarray(z, dtype=np.float64)
        order = nearest(self.z, place, self.covariance)
        if self.state is None:
            return regression_map(self.source, order, neighbour_sizes(len(order)), self.mask, self.of_all)
        own = self.state[order] == self.state[np.square(self.z - place).sum(1).argmin()]
        if not FEWEST <= own.sum() < len(order) or np.ptp(self.source.particles.half[order[own]]) == 0:
            return regression_map(self.source, order, neighbour_sizes(len(order)), self.mask, self.of_all)
        order = np.concatenate([order[own], order[~own]])
        sizes = sizes_within(int(own.sum()), len(order))
        return regression_map(self.source, order, sizes, self.mask, self.of_all)

    @cached_property
    def of_all(self) -> Tensor:
        """Half maps [2, D, D, D] of all particles: the widest neighbourhood of any point."""
        count = len(self.z)
        return nested_half_maps(self.source, np.arange(count), [count])[0]

    def decode(self, z: Tensor | None) -> Tensor:
        """Maps [n, D, D, D] at the rows of z [n, d]: what ``Trained.decode`` calls."""
        if z is None:
            raise ConfigError("a map from the images near a conformation needs a z to be near to")
        return torch.stack([self.map_at(row.double().cpu().numpy()).map for row in z])

    def write(self, folder: Path, name: str, z: np.ndarray) -> float:
        """NAME.mrc, -half1, -half2, -local-resolution (Å); returns the resolution at 0.143 of the half maps (Å)."""
        folder.mkdir(parents=True, exist_ok=True)
        found, pixel_size = self.map_at(z), self.source.pixel_size
        first, second = found.half_maps
        fine = local_resolution(first, second, pixel_size, self.mask).nan_to_num(nan=0.0, posinf=0.0)
        named = {"": found.map, "-half1": first, "-half2": second, "-local-resolution": fine}
        for ending, map_ in named.items():
            write_map(folder / f"{name}{ending}.mrc", map_, pixel_size)
        return resolution(found.fsc, pixel_size)


def _mask(run: Run, source: ImageSource) -> Tensor:
    """The run's own mask, or that of the consensus map of all particles."""
    path = run.volumes / "mask.mrc"
    return read_map(path)[0] if path.exists() else consensus(source).mask
