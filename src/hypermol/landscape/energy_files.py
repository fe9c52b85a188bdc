"""Free energies as arrays, as plain values, and as a picture."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from hypermol.landscape.basins import EnergyPath, States
from hypermol.landscape.density import Density, Grid
from hypermol.landscape.energy import EnergyLandscape

_STATES = ("label", "lowest", "population", "error")
_PATH = ("u", "energy", "error")
_FIGURES = ("barrier", "barrier_error", "at_least")
_HIGHEST = 6.0  # kT: what a picture shows


def energy_arrays(found: EnergyLandscape) -> dict[str, np.ndarray]:
    """Everything that is an array, under names that begin with "energy."."""
    arrays = {f"energy.axis{number}": axis for number, axis in enumerate(found.density.grid.axes)}
    arrays |= {"energy.value": found.density.value, "energy.draws": found.density.draws.astype(np.float32)}
    arrays["energy.bias"] = found.density.bias
    arrays |= {f"energy.states.{name}": getattr(found.states, name) for name in _STATES}
    if found.path is not None:
        arrays |= {f"energy.path.{name}": getattr(found.path, name) for name in _PATH}
    return arrays


def energy_table(found: EnergyLandscape) -> dict[str, Any]:
    """Everything else."""
    path = None if found.path is None else {name: getattr(found.path, name) for name in _FIGURES}
    return {
        "temperature": found.temperature,
        "width": found.density.width,
        "particles": found.density.particles,
        "dimensions": len(found.density.grid.axes),
        "path": path,
        "notes": list(found.notes),
    }


def energy_from(table: dict[str, Any], arrays: dict[str, np.ndarray]) -> EnergyLandscape:
    """Inverse of the two."""
    grid = Grid(tuple(arrays[f"energy.axis{number}"] for number in range(table["dimensions"])))
    draws = arrays["energy.draws"].astype(np.float64)
    kept = arrays["energy.value"], draws, arrays["energy.bias"]
    density = Density(grid, *kept, table["width"], table["particles"])
    states = States(**{name: arrays[f"energy.states.{name}"] for name in _STATES})
    path = None
    if table["path"] is not None:
        u, energy, error = (arrays[f"energy.path.{name}"] for name in _PATH)
        path = EnergyPath(u, energy, error, **table["path"])
    return EnergyLandscape(table["temperature"], density, states, path, tuple(table["notes"]))


def energy_picture(found: EnergyLandscape) -> bytes:
    """PNG: the free energy in kT over one component with its error bars, or over two with states and the path."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    axes, grid, density = figure.add_subplot(), found.density.grid, found.density
    energy = np.where(density.seen, density.free_energy(), np.nan).reshape(grid.shape)
    axes.set_xlabel("principal component 1 of z")
    scale = f"free energy (kT; 1 kT = {found.kcal_per_mol:.3f} kcal/mol at {found.temperature:g} K)"
    if len(grid.axes) == 1:
        error = np.where(density.seen, density.error(), np.nan)
        axes.fill_between(grid.axes[0], energy - error, energy + error, alpha=0.3, linewidth=0)
        axes.plot(grid.axes[0], energy)
        axes.set_ylim(-0.3, _HIGHEST)
        axes.set_ylabel(scale)
        axes.set_title("deconvolved of each particle's uncertainty; error bars: bootstrap", fontsize=10)
    else:
        levels = np.linspace(0, _HIGHEST, 13)
        drawn = axes.contourf(*grid.axes, np.minimum(energy, _HIGHEST).T, levels, cmap="viridis")
        figure.colorbar(drawn, label=scale)
        axes.set_ylabel("principal component 2 of z")
        axes.set_title("deconvolved of each particle's uncertainty; error bars in free-energy.csv", fontsize=10)
        if found.path is not None:
            axes.plot(*found.path.u.T, color="white", linewidth=1.5)
        for number, node in enumerate(found.states.lowest if found.states.count > 1 else []):
            share = f"state {number}: {100 * found.states.population[number]:.0f} %"
            x, y = grid.points[node]
            axes.annotate(
                share, (x, y), xytext=(10, 10), textcoords="offset points", fontsize=9, arrowprops={"arrowstyle": "-"}
            )
    stream = io.BytesIO()
    FigureCanvasAgg(figure).print_png(stream)
    return stream.getvalue()
