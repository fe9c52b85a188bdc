"""The free-energy landscape of a run: deconvolved density over the leading components of z, its states, a way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hypermol.conformations import SEPARATE
from hypermol.errors import DataError
from hypermol.landscape.basins import EnergyPath, States, basins, lowest_energy_path
from hypermol.landscape.components import PrincipalComponents
from hypermol.landscape.density import Density, deconvolved, density_grid
from hypermol.landscape.latent import Latent
from hypermol.landscape.observations import calibration_notes, observations
from hypermol.landscape.paths import Trajectory, resampled_path
from hypermol.shapes import Float

GAS_CONSTANT = 0.0019872043
"""kcal / (mol K)."""
ROOM_TEMPERATURE = 298.15
"""K: that of the sample before it was frozen, if nothing else is said."""
DIMENSIONS = 2
_FEW = 5 * SEPARATE


@dataclass(frozen=True)
class EnergyLandscape:
    """Free energy over the first principal components of z, in kT at ``temperature`` (K).

    density: over u, coordinates along those components; states: its basins; path: between the two largest, where there
    are two. ``notes`` in words; the first ones are about the calibration on which all rests.
    """

    temperature: float
    density: Density
    states: States
    path: EnergyPath | None
    notes: tuple[str, ...]

    @property
    def kcal_per_mol(self) -> float:
        """Of one kT."""
        return GAS_CONSTANT * self.temperature


def energy_landscape(
    latent: Latent,
    components: PrincipalComponents,
    covariance: Float[np.ndarray, "N d d"] | None,
    temperature: float = ROOM_TEMPERATURE,
    seed: int = 0,
    posterior_mean: Float[np.ndarray, "N d"] | None = None,
) -> tuple[EnergyLandscape | None, tuple[str, ...]]:
    """From the posterior of z of each of the N particles of the input, under a normal prior; or None, and why in words.

    ``posterior_mean``: where it is not z itself.
    """
    if covariance is None:
        return None, ("No free energies: this method states no uncertainty of z per particle (z_covariance).",)
    if latent.size < _FEW or latent.constant:
        return None, (f"No free energies: they need {_FEW} particles with different z.",)
    own = covariance[latent.row].astype(np.float64)
    if not np.isfinite(own).all():
        return None, ("No free energies: some posterior covariances of z are not finite.",)
    axes = components.axes[:DIMENSIONS]
    mean = latent.z if posterior_mean is None else posterior_mean[latent.row].astype(np.float64)
    try:
        observed = observations(mean, own, axes, components.mean)
    except DataError as error:
        return None, (f"No free energies: {error}",)
    spread = np.sqrt(np.einsum("ka,nab,kb->nk", axes, own, axes))
    grid = density_grid((latent.z - components.mean) @ axes.T, spread)
    density = deconvolved(observed, grid, seed=seed)
    states = basins(density)
    path = lowest_energy_path(density, *states.lowest[:2].tolist()) if states.count > 1 else None
    notes = (*calibration_notes(mean, own), *_words(states, path, temperature, latent.dimensions > len(axes)))
    return EnergyLandscape(temperature, density, states, path, notes), ()


def energy_trajectory(
    latent: Latent, components: PrincipalComponents, found: EnergyLandscape, points: int
) -> Trajectory | None:
    """The path of lowest energy as a series of ``points`` conformations, evenly spaced; None where there is none."""
    if found.path is None:
        return None
    corners = components.restore(found.path.u)
    return resampled_path(latent, corners, points, "energy", "Lowest free energy (state 0 to 1)")


def _words(states: States, path: EnergyPath | None, temperature: float, more: bool) -> list[str]:
    unit = GAS_CONSTANT * temperature
    if states.count == 1:
        words = "The density, deconvolved of each particle's uncertainty, has one basin: a continuum or one state."
        return [words]
    shares = ", ".join(
        f"{100 * share:.0f} ± {100 * error:.0f} %" for share, error in zip(states.population, states.error)
    )
    flat = f" along the first {DIMENSIONS} components" if more else ""
    notes = [f"The density{flat}, deconvolved of each particle's uncertainty, has {states.count} states: {shares}."]
    if more:
        notes.append("States that differ along other components count as one there.")
    if path is not None:
        about = "at least " if path.at_least else ""
        notes.append(
            f"From state 0 to state 1 the lowest barrier is {about}{path.barrier:.1f} ± {path.barrier_error:.1f} kT "
            f"({about}{unit * path.barrier:.2f} ± {unit * path.barrier_error:.2f} kcal/mol at {temperature:g} K)."
        )
    return notes
