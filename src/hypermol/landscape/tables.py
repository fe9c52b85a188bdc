"""The tables of a landscape as comma-separated text, for people and spreadsheets. Particles are 0-based."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

import numpy as np

from hypermol.landscape.analysis import Landscape


def csv_tables(landscape: Landscape) -> dict[str, str]:
    """File name → text of particles.csv, clusters.csv, paths.csv and leakage.csv."""
    return {
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
    rows = (
        [row, *map(_number, values[:columns]), kmeans, density, *map(_number, values[columns:])]
        for row, (values, kmeans, density) in enumerate(zip(numbers, landscape.kmeans.label, landscape.density.label))
    )
    return _text(header, rows)


def _clusters(landscape: Landscape) -> str:
    dimensions = landscape.z.shape[1]
    header = ["method", "cluster", "particles", "nearest_particle", *(f"z{number + 1}" for number in range(dimensions))]
    rows = (
        [clusters.method, number, size, particle, *map(_number, centre)]
        for clusters in (landscape.kmeans, landscape.density)
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
    rows = (
        [
            item.target,
            *map(_number, (item.score, item.error, item.chance, item.chance_spread)),
            item.particles,
            item.verdict,
            item.sentence,
        ]
        for item in landscape.leakage
    )
    return _text(header, rows)


def _number(value: float) -> str:
    return "" if not np.isfinite(value) else f"{value:.6g}"


def _text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return stream.getvalue()
