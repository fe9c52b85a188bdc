"""Where molecules are seen from: the density of viewing directions, to draw from and to compare an estimate with."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from hypermol.imaging.rotations import euler_to_matrix, quaternion_to_matrix
from hypermol.shapes import Float


@dataclasses.dataclass(frozen=True)
class ViewDensity:
    """Viewing directions (Rᵀ e_z, in the molecule's frame): uniform on the sphere where ``concentration`` κ is 0, else
    von Mises-Fisher about each of ``axes`` with equal parts (none: about z). In-plane angles are uniform.
    Density and exact draw: Mardia & Jupp 2000, Directional Statistics, section 9.3."""

    concentration: float = 0.0
    axes: tuple[tuple[float, float, float], ...] = ()

    def density(self, directions: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """At unit vectors, over that of the uniform distribution: its mean over the sphere is 1."""
        kappa = self.concentration
        if kappa == 0:
            return np.ones(len(directions))
        cosine = directions @ self._unit.T
        return (2 * kappa / (1 - np.exp(-2 * kappa)) * np.exp(kappa * (cosine - 1))).mean(1)

    def rotations(self, count: int, rng: np.random.Generator) -> Float[np.ndarray, "n 3 3"]:
        """Drawn."""
        if self.concentration == 0:
            return quaternion_to_matrix(torch.from_numpy(rng.normal(size=(count, 4)))).numpy()
        kappa, u = self.concentration, rng.uniform(size=count)
        cosine = 1 + np.log(u + (1 - u) * np.exp(-2 * kappa)) / kappa
        azimuth, turn = rng.uniform(0, 2 * np.pi, size=(2, count))
        angles = (torch.from_numpy(np.rad2deg(values)) for values in (azimuth, np.arccos(cosine), turn))
        about_z = euler_to_matrix(*angles).numpy()
        if not self.axes:
            return about_z
        return about_z @ self._to_z()[rng.integers(len(self.axes), size=count)]

    @property
    def _unit(self) -> np.ndarray:
        axes = np.array(self.axes or ((0.0, 0.0, 1.0),), dtype=np.float64)
        return axes / np.linalg.norm(axes, axis=1, keepdims=True)

    def _to_z(self) -> np.ndarray:
        """Rotations that take each axis to z, [A, 3, 3]."""
        unit = self._unit
        azimuth = np.arctan2(unit[:, 1], unit[:, 0])
        angles = (torch.from_numpy(np.rad2deg(a)) for a in (azimuth, np.arccos(unit[:, 2]), 0 * azimuth))
        return euler_to_matrix(*angles).numpy()
