"""The tables of a landscape as comma-separated text, for people and spreadsheets. Particles and clusters count from 0,
classes from 1."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

import numpy as np

from hypermol.landscape.analysis import Landscape
from hypermol.landscape.energy import EnergyLandscape


def csv_tables(landscape: Landscape) -> dict[str, str]:
    """File name → text of particles.csv, clusters.csv, paths.csv and leakage.csv; where there are free energies, also
    states.csv and free-energy.csv."""
    energy = {} if landscape.energy is None else _energy(landscape.energy)
    return {
        **energy,
        "particles.csv": _particles(landscape),
        "clusters.csv": _clusters(landscape),
        "paths.csv": _paths(landscape),
        "leakage.csv": _leakage(landscape),
    }


def _particles(landscape: Landscape) -> str:
    columns = landscape.coordinates.shape[1]
    header = ["particle", *(f"pc{number + 1}" for number in range(columns)), "cluster", "density_group"]
    parts = [landscape.coordinates]
    if landscape.embedding is not None:
        header += ["umap1", "umap2"]
        parts.append(landscape.embedding)
    numbers = np.concatenate(parts, axis=1)
    label = landscape.clusters.label
    groups = zip(np.where(label < 0, label, label + landscape.clusters.first), landscape.density.label)
    rows = (
        [row, *map(_number, values[:columns]), cluster, density, *map(_number, values[columns:])]
        for row, (values, (cluster, density)) in enumerate(zip(numbers, groups))
    )
    return _text(header, rows)


def _clusters(landscape: Landscape) -> str:
    dimensions = landscape.z.shape[1]
    header = ["method", "cluster", "particles", "nearest_particle", *(f"z{number + 1}" for number in range(dimensions))]
    rows = (
        [clusters.method, number + clusters.first, size, particle, *map(_number, centre)]
        for clusters in (landscape.clusters, landscape.density)
        for number, (size, particle, centre) in enumerate(zip(clusters.size, clusters.particle, clusters.centre))
    )
    return _text(header, rows)


def _paths(landscape: Landscape) -> str:
    dimensions = landscape.z.shape[1]
    header = ["path", "point", "nearest_particle", "distance", "support", *(f"z{n + 1}" for n in range(dimensions))]
    rows = (
        [
            path.name,
            point,
            path.particle[point],
            *map(_number, (path.distance[point], path.support[point], *path.z[point])),
        ]
        for path in landscape.paths
        for point in range(path.points)
    )
    return _text(header, rows)


def _leakage(landscape: Landscape) -> str:
    header = ["target", "r2", "error", "chance", "chance_spread", "particles", "verdict", "sentence"]
    header += ["nats", "nats_chance", "nats_spread"]
    rows = (
        [
            item.target,
            *map(_number, (item.score, item.error, item.chance, item.chance_spread)),
            item.particles,
            item.verdict,
            item.sentence,
            *("" if x is None else _number(x) for x in (item.nats, item.nats_chance, item.nats_spread)),
        ]
        for item in landscape.leakage
    )
    return _text(header, rows)


def _energy(found: EnergyLandscape) -> dict[str, str]:
    density, states, unit = found.density, found.states, found.kcal_per_mol
    points, names = density.grid.points, [f"pc{n + 1}" for n in range(len(density.grid.axes))]
    rows = (
        [number, *map(_number, (states.population[number], states.error[number], *points[node]))]
        for number, node in enumerate(states.lowest)
    )
    energy, error = density.free_energy(), density.error()
    nodes = (
        [*map(_number, (*points[g], density.value[g], energy[g], error[g], unit * energy[g], unit * error[g])), state]
        for g, state in enumerate(states.label)
        if density.seen[g]
    )
    energies = ["density", "kt", "kt_error", "kcal_per_mol", "kcal_per_mol_error", "state"]
    return {
        "states.csv": _text(["state", "population", "error", *names], rows),
        "free-energy.csv": _text([*names, *energies], nodes),
    }


def _number(value: float) -> str:
    return "" if not np.isfinite(value) else f"{value:.6g}"


def _text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return stream.getvalue()
