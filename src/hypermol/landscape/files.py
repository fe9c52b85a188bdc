"""A landscape on disk: RUN/landscape/ with arrays (npz), tables (json; csv for people) and maps (mrc). No pickles.

landscape.json  everything but arrays        landscape.npz  per-particle and per-path arrays
particles.csv, clusters.csv, paths.csv, leakage.csv; states.csv and free-energy.csv, free-energy.png where z has
uncertainties
clusters/map-000.mrc …                       maps at the centres of the clusters, or of the classes
paths/NAME/map-000.mrc …                     maps along each path
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hypermol.atomic import write_text, write_with
from hypermol.errors import DataError
from hypermol.landscape.analysis import Landscape
from hypermol.landscape.clusters import BETWEEN, Clusters
from hypermol.landscape.components import PrincipalComponents
from hypermol.landscape.decoded import Decode, decoded
from hypermol.landscape.energy_files import energy_arrays, energy_from, energy_picture, energy_table
from hypermol.landscape.leakage import Leakage
from hypermol.landscape.paths import Trajectory
from hypermol.landscape.tables import csv_tables
from hypermol.shapes import Float

FORMAT = 2
ENERGY_FILES = ("states.csv", "free-energy.csv", "free-energy.png")
MAP_FOLDERS = ("clusters", "paths")
_CLUSTER_ARRAYS = ("label", "particle", "centre", "size")
_PATH_ARRAYS = ("z", "particle", "distance", "support")
_COMPONENT_ARRAYS = ("mean", "axes", "variance", "ratio")


def save_landscape(landscape: Landscape, folder: Path) -> None:
    """Write the arrays and tables of ``landscape`` under ``folder`` (made if needed); each file whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    np.savez_compressed(stream, **_arrays(landscape))  # type: ignore[arg-type]
    content = stream.getvalue()
    tables = {"format": FORMAT, "arrays": hashlib.sha256(content).hexdigest(), **_tables(landscape)}
    for name in ENERGY_FILES:  # of an earlier analysis
        (folder / name).unlink(missing_ok=True)
    for name in MAP_FOLDERS:  # maps of an earlier analysis would be shown under the captions of this one
        shutil.rmtree(folder / name, ignore_errors=True)
    for name, text in csv_tables(landscape).items():
        write_text(folder / name, text)
    if landscape.energy is not None:
        picture = energy_picture(landscape.energy)
        write_with(folder / "free-energy.png", lambda file: file.write(picture))
    write_with(folder / "landscape.npz", lambda file: file.write(content))
    write_text(folder / "landscape.json", json.dumps(tables, indent=1, ensure_ascii=False))


def load_landscape(folder: Path) -> Landscape:
    """The landscape saved under ``folder``. Raises DataError when it is missing, newer, or its files do not belong
    together."""
    try:
        tables = json.loads((folder / "landscape.json").read_text())
        content = (folder / "landscape.npz").read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} is missing: `hypermol analyze` on the run writes it") from error
    except ValueError as error:
        raise DataError(
            f"{folder / 'landscape.json'} is not readable ({error}); run `hypermol analyze` again"
        ) from error
    if tables.get("format", 0) > FORMAT:
        raise DataError(f"{folder}: landscape format {tables['format']} is newer than this hypermol reads ({FORMAT})")
    if tables.get("arrays") != hashlib.sha256(content).hexdigest():
        raise DataError(f"{folder}: landscape.json and landscape.npz are of different analyses; run `hypermol analyze`")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return _assembled(tables, dict(arrays))


def write_maps(
    landscape: Landscape,
    folder: Path,
    decode: Decode,
    pixel_size: float,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Decode and write the maps at the clusters' centres and along all paths, into the folder of ``save_landscape``.

    ``decode`` takes z [n, d] float32 to maps [n, D, D, D]; ``pixel_size`` in Å; ``progress(done, total)`` is called
    after each map.
    """
    series = {"clusters": landscape.clusters.centre}
    series |= {f"paths/{path.name}": path.z for path in landscape.paths}
    done, total = 0, sum(len(points) for points in series.values())
    for name, points in series.items():
        part = folder / f".{name.replace('/', '-')}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for number, volume in enumerate(decoded(decode, points)):
            _write_map(part / f"map-{number:03d}.mrc", volume, pixel_size)
            done += 1
            if progress is not None:
                progress(done, total)
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).parent.mkdir(exist_ok=True)
        os.replace(part, folder / name)


def read_maps(folder: Path, name: str) -> tuple[list[Float[np.ndarray, "D D D"]], float]:
    """The maps of series ``name`` ("clusters", "paths/graph", …) in order and their pixel size in Å.

    Raises DataError when the series is not there.
    """
    from hypermol.maps.files import read_map

    found = sorted((folder / name).glob("map-*.mrc"))
    if not found:
        raise DataError(f"{folder / name} holds no maps: `hypermol analyze` on the run writes them")
    loaded = [read_map(path) for path in found]
    return [np.asarray(volume) for volume, _ in loaded], float(loaded[0][1])


def _write_map(path: Path, volume: Float[np.ndarray, "D D D"], pixel_size: float) -> None:
    import torch

    from hypermol.maps.files import write_map

    write_map(path, torch.from_numpy(np.ascontiguousarray(volume)), pixel_size)


def _arrays(landscape: Landscape) -> dict[str, np.ndarray]:
    arrays = {"z": landscape.z, "coordinates": landscape.coordinates}
    if landscape.embedding is not None:
        arrays["embedding"] = landscape.embedding
    for name in _COMPONENT_ARRAYS:
        arrays[f"components.{name}"] = getattr(landscape.components, name)
    for kind in ("clusters", "density"):
        for name in _CLUSTER_ARRAYS:
            arrays[f"{kind}.{name}"] = getattr(getattr(landscape, kind), name)
    for path in landscape.paths:
        for name in _PATH_ARRAYS:
            arrays[f"path.{path.name}.{name}"] = getattr(path, name)
    return arrays if landscape.energy is None else arrays | energy_arrays(landscape.energy)


def _tables(landscape: Landscape) -> dict[str, Any]:
    return {
        "seed": landscape.seed,
        "notes": list(landscape.notes),
        "leakage_notes": list(landscape.leakage_notes),
        "clusters": _cluster_table(landscape.clusters),
        "density": _cluster_table(landscape.density),
        "paths": [{"name": path.name, "title": path.title, "notes": list(path.notes)} for path in landscape.paths],
        "leakage": [dataclasses.asdict(item) for item in landscape.leakage],
        "energy": None if landscape.energy is None else energy_table(landscape.energy),
    }


def _cluster_table(clusters: Clusters) -> dict[str, Any]:
    numbers = {"considered": clusters.considered, "between": clusters.between}
    return {"method": clusters.method, "notes": list(clusters.notes), **numbers}


def _assembled(tables: dict[str, Any], arrays: dict[str, np.ndarray]) -> Landscape:
    def clusters(kind: str) -> Clusters:
        known = {name: arrays[f"{kind}.{name}"] for name in _CLUSTER_ARRAYS}
        table = tables[kind]
        between = table.get("between", BETWEEN)  # from format 2
        words, count = tuple(table["notes"]), table["considered"]
        return Clusters(method=table["method"], considered=count, notes=words, between=between, **known)

    def path(row: dict[str, Any]) -> Trajectory:
        known = {name: arrays[f"path.{row['name']}.{name}"] for name in _PATH_ARRAYS}
        return Trajectory(name=row["name"], title=row["title"], notes=tuple(row["notes"]), **known)

    return Landscape(
        z=arrays["z"],
        components=PrincipalComponents(**{name: arrays[f"components.{name}"] for name in _COMPONENT_ARRAYS}),
        coordinates=arrays["coordinates"],
        clusters=clusters("clusters" if "clusters" in tables else "kmeans"),  # format 1
        density=clusters("density"),
        embedding=arrays.get("embedding"),
        paths=tuple(path(row) for row in tables["paths"]),
        leakage=tuple(Leakage(**row) for row in tables["leakage"]),
        notes=tuple(tables["notes"]),
        seed=tables["seed"],
        energy=energy_from(tables["energy"], arrays) if tables.get("energy") else None,
        leakage_notes=tuple(tables.get("leakage_notes", ())),  # earlier analyses: among the notes
    )
