"""How well the defocus of a particle can be known: the Cramér-Rao bound under the true model, its pose known or not.

As ``pose_bound``, with one more number: what is added to U and V. A prior N(0, s²) adds 1/s² to its information (van
Trees 1968, section 2.4.3), so that the bound holds for the posterior mean too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hypermol.errors import ConfigError
from hypermol.simulation.pose_bound import pose_information

if TYPE_CHECKING:
    from hypermol.simulation.truth import Truth

STEP = 10.0
"""Å, of the differences: the phase at 3 Å changes by 0.07."""


@dataclass(frozen=True)
class DefocusBound:
    """Least root mean square errors of the defocus of some particles, [n], Å: where the pose is known, and where it is
    to be found with it."""

    particle: np.ndarray
    pose_known: np.ndarray
    pose_unknown: np.ndarray

    @property
    def rms(self) -> float:
        """Least root mean square error over these particles, poses unknown, Å."""
        return float(np.sqrt(np.mean(self.pose_unknown**2)))


def defocus_bound(truth: Truth, particles: np.ndarray | None = None, spread: float = math.inf) -> DefocusBound:
    """The bound for some particles (default all but junk), their defocus known beforehand to ± ``spread`` Å.

    Raises ConfigError for images without noise or without CTF.
    """
    if truth.noise_variance <= 0 or truth.ctf is None:
        raise ConfigError(f"{truth.folder}: the images carry no {'CTF' if truth.ctf is None else 'noise'}: no bound")
    chosen = truth.intact if particles is None else np.asarray(particles, dtype=np.int64)
    known, unknown = np.empty(len(chosen)), np.empty(len(chosen))
    for row, particle in enumerate(chosen):
        information, _ = pose_information(truth, int(particle), STEP)
        information[-1, -1] += spread**-2
        known[row], unknown[row] = information[-1, -1] ** -0.5, np.linalg.inv(information)[-1, -1] ** 0.5
    return DefocusBound(chosen, known, unknown)
