"""The report of a run folder: what the run holds, gathered and put in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hypermol import __version__
from hypermol.arrays import read_npz
from hypermol.errors import ConfigError, DataError, HypermolError
from hypermol.landscape import Landscape, load_landscape
from hypermol.methods import run_method, run_particles
from hypermol.particles import Particles
from hypermol.report.data import Column, Figure, FscCurve, LocalResolution, MapSeries, ReportData
from hypermol.report.from_validation import validation_of
from hypermol.report.page import write_report
from hypermol.report.series import series_of
from hypermol.runs import WARNING, Run, in_words
from hypermol.shell import quoted

CURVES = {
    "corrected": ("corrected for the mask", 0.143),
    "masked": ("masked", 0.143),
    "unmasked": ("unmasked", 0.143),
    "randomised": ("phase-randomised", None),
}
CONFORMATION, LOCAL_RESOLUTION = "conformation-", "local-resolution"
MAP_WORDS = {"half1": "half map 1", "half2": "half map 2", "map-at-median-z": "at the median z"}
SHARED_POSES = "half maps reconstructed with the same poses: judges the signal, not independent refinements"


def report_run(run: Run, path: Path | None = None) -> Path:
    """Write the page of a run to ``path`` (RUN/report.html if None); returns the path.

    Raises DataError when a file of the run cannot be read.
    """
    return write_report(report_of(run), path or run.path / "report.html")


def report_of(run: Run) -> ReportData:
    """Everything the page shows of a run; what is missing is said in ``absent``."""
    config, log, estimates = run.config, run.log(), _estimates(run)
    particles, absent = _particles(run)
    landscape, states, motions = _landscape(run, estimates, absent)
    validation = validation_of(run, absent)
    first = None if particles is None else particles.first_image
    return ReportData(
        title=f"{run_method(run).name} on {Path(config['input']['particles']).name}",
        run=str(run.path),
        facts=_facts(run, config, log),
        figures=tuple(_figure(label, entry) for label, entry in run.metrics().items()),
        log=log,
        estimates=estimates,
        landscape=landscape,
        micrograph=None if particles is None or first is None else _micrograph(particles, first),
        defocus=None if particles is None or first is None else _defocus(particles, first),
        columns=_true_columns(Path(config["input"]["particles"]).parent, config["input"]["count"], absent),
        maps=_maps(run.volumes),
        states=states,
        motions=motions or _family(run),
        matrices=run.matrices(),
        fsc=_curves(run),
        local_resolution=_local_resolution(run.volumes),
        validation=validation,
        warnings=_warnings(run, log, _still_true(particles, estimates)),
        absent=tuple(absent),
        settings=(run.path / "config.toml").read_text(),
        version=__version__,
    )


def _estimates(run: Run) -> dict[str, np.ndarray]:
    try:
        return run.estimates()
    except ConfigError:  # nothing was inferred, or not yet
        return {}


def _particles(run: Run) -> tuple[Particles | None, list[str]]:
    """The particles of the run, for micrographs and defocus; a sentence where the file has changed or gone."""
    try:
        return run_particles(run), []
    except HypermolError as error:
        return None, [f"Micrographs and defocus are not shown: {error}"]


def _landscape(
    run: Run, estimates: Mapping[str, np.ndarray], absent: list[str]
) -> tuple[Landscape | None, MapSeries | None, tuple[MapSeries, ...]]:
    if "z" not in estimates and _conformations(run):
        absent.append("No landscape: this method places no particle along z; it matches the images as a whole.")
        return None, None, ()
    if "z" not in estimates:
        absent.append("No landscape and no motion: this method gives one map for all particles.")
        return None, None, ()
    if not (run.landscape / "landscape.json").exists():
        absent.append(
            f"No landscape and no motion yet: run `hypermol analyze {quoted(run.path)}` and make the report again."
        )
        return None, None, ()
    landscape = load_landscape(run.landscape)
    clusters = landscape.clusters
    words = tuple(f"{clusters.name(number)}: {size:,} particles" for number, size in enumerate(clusters.size))
    title = "Maps of the classes" if clusters.of_classes else "Maps at the cluster centres"
    states = _series(run.landscape / "clusters", "states", title, words)
    motions = []
    for path in landscape.paths:
        points = tuple(f"map {point} · near particle {particle}" for point, particle in enumerate(path.particle))
        coordinates = landscape.components.project(path.z)
        folder = run.landscape / "paths" / path.name
        series = _series(folder, path.name, path.title, points, coordinates, path.notes)
        motions += [series] if series is not None and len(series.maps) == path.points else []
    if states is None or not motions:
        absent.append(
            f"No maps along the landscape: `hypermol analyze {quoted(run.path)}` (without --no-maps) makes them."
        )
    return landscape, states, tuple(motions)


def _conformations(run: Run) -> list[Path]:
    """Maps evenly along the z of a family."""
    return sorted(run.volumes.glob(f"{CONFORMATION}*.mrc"))


def _family(run: Run) -> tuple[MapSeries, ...]:
    """A family of maps that belong to no particle, as a motion."""
    files = _conformations(run)
    captions = tuple(f"{number + 1} of {len(files)} along z" for number in range(len(files)))
    note = "No particle has a z: the share of the family that looks alike is the share of the particles that do."
    words = "Maps at equal steps of probability along z"
    return (series_of(files, "family", words, captions, notes=(note,)),) if files else ()


def _series(
    folder: Path,
    name: str,
    title: str,
    captions: tuple[str, ...],
    coordinates: np.ndarray | None = None,
    notes: tuple[str, ...] = (),
) -> MapSeries | None:
    """The maps map-*.mrc of a folder, one after the other made small enough to be shown."""
    found = sorted(folder.glob("map-*.mrc"))
    if not found:
        return None
    return series_of(found, name, title, captions, coordinates, notes)


def _maps(folder: Path) -> tuple[MapSeries, ...]:
    """The maps of RUN/volumes: a fitted map first, then the consensus; half maps last, masks left out. Components,
    which are changes of density, by themselves."""
    rank = {"map": -1, "consensus": 0, "half1": 2, "half2": 3}
    files = [path for path in folder.glob("*.mrc") if "mask" not in path.stem and path.stem != LOCAL_RESOLUTION]
    files = [path for path in files if not path.stem.startswith(CONFORMATION)]
    files.sort(key=lambda path: (rank.get(path.stem, 1), path.stem))
    if not files:
        return ()
    changes = [path for path in files if path.stem.startswith("component-")]
    maps = [path for path in files if path not in changes]
    shown = [series_of(maps, "maps", "Maps of the run", _captions(maps))] if maps else []
    if changes:
        own = series_of(changes, "components", "Components: what one unit of z adds", _captions(changes))
        note = "Grey: no change; white: density comes; black: it goes."
        shown.append(dataclasses.replace(own, signed=True, notes=(note,)))
    return tuple(shown)


def _captions(files: list[Path]) -> tuple[str, ...]:
    return tuple(MAP_WORDS.get(path.stem, path.stem.replace("-", " ")) for path in files)


def _curves(run: Run) -> tuple[FscCurve, ...]:
    known = {name.removeprefix("fsc_"): curve for name, curve in run.curves().items() if name.startswith("fsc_")}
    pixel_size = _pixel_size(run)
    if pixel_size is None:
        return ()
    order = [*(name for name in CURVES if name in known), *sorted(set(known) - set(CURVES))]
    shown, read = [], run.metrics()
    for name in order:
        words, threshold = CURVES.get(name, (name.replace("_", " "), 0.143))
        stated = read.get(f"resolution_{name}", {})
        how, value = stated.get("how", SHARED_POSES), stated.get("value")
        shown.append(FscCurve(words, known[name], pixel_size, threshold, how, value if threshold == 0.143 else None))
    return tuple(shown)


def _local_resolution(folder: Path) -> LocalResolution | None:
    """Raises DataError where it does not fit the map beside it."""
    from hypermol.maps import read_map

    found, density = folder / f"{LOCAL_RESOLUTION}.mrc", folder / "consensus.mrc"
    if not found.exists() or not density.exists():
        return None
    (angstrom, pixel_size), (map_, _) = read_map(found), read_map(density)
    if angstrom.shape != map_.shape:
        raise DataError(f"{found}: a box of {angstrom.shape[0]} px, but consensus.mrc beside it has {map_.shape[0]}")
    return LocalResolution(angstrom.numpy(), map_.numpy(), float(pixel_size))


def _pixel_size(run: Run) -> float | None:
    """Å per pixel of the maps that the curves belong to."""
    from hypermol.maps import read_map

    for path in sorted(run.volumes.glob("*.mrc")):
        return float(read_map(path)[1])
    return None


def _micrograph(particles: Particles, first: np.ndarray) -> np.ndarray | None:
    if particles.micrograph is None:
        return None
    return np.array([Path(str(name)).name for name in particles.micrograph], dtype=str)[first]


def _defocus(particles: Particles, first: np.ndarray) -> np.ndarray | None:
    if particles.ctf is None:
        return None
    return particles.ctf.mean_defocus.numpy()[first]


def _true_columns(folder: Path, count: int, absent: list[str]) -> tuple[Column, ...]:
    """The true conformation, where the particles were simulated; a sentence where it cannot be read."""
    path = folder / "truth.npz"
    if not path.is_file():
        return ()
    try:
        known = read_npz(path, "simulate the particles anew").get("conformation", np.zeros((0, 0)))
    except DataError as error:
        absent.append(f"The true conformation is not shown: {error}.")
        return ()
    if len(known) != count:
        return ()
    known = known.reshape(count, -1)
    names = ["True coordinate"] if known.shape[1] == 1 else [f"True coordinate {n}" for n in range(known.shape[1])]
    return tuple(Column(name, values) for name, values in zip(names, known.T) if np.ptp(values) > 0)


def _facts(run: Run, config: Mapping[str, Any], log: list[dict[str, Any]]) -> tuple[tuple[str, str], ...]:
    given, method = config["input"], run_method(run)
    images = "" if given["images"] == given["count"] else f", {given['images']:,} images"
    rows = [
        ("Method", f"{method.name} ({method.source})"),
        ("Particles", f"{given['particles']}"),
        ("", f"{given['count']:,} particles{images}, box {given['box']} px at {given['pixel_size']:.4g} Å/px"),
    ]
    said = [f"{row.get('text', '')}" for row in log if row.get("event") == "note"]
    rows += [("Found" if place == 0 else "", words) for place, words in enumerate(said)]
    passes = [row for row in log if row.get("event") == "pass"]
    if passes:
        minutes = sum(row.get("seconds") or 0.0 for row in passes) / 60
        fitted = sum("loss" in row for row in passes) or len(passes)
        rows.append(("Time", f"{minutes:.1f} min, {fitted} pass{'es' if fitted != 1 else ''} over the particles"))
    versions = ", ".join(f"{name} {number}" for name, number in config.get("versions", {}).items())
    return (*rows, ("Seed", str(config["seed"])), ("Versions", versions), ("Run folder", str(run.path.resolve())))


def _figure(label: str, entry: Mapping[str, Any]) -> Figure:
    """One entry of metrics.json: {"value", "unit", "how"}."""
    return Figure(label.replace("_", " "), in_words(label, entry), str(entry.get("how") or ""))


def _still_true(particles: Particles | None, estimates: Mapping[str, np.ndarray]) -> list[str]:
    """What was said of the file when it was read; that it had no poses matters no more where they were found."""
    said = [] if particles is None else particles.notes
    return [note for note in said if "rotation" not in estimates or not note.startswith("no poses")]


def _warnings(run: Run, log: list[dict[str, Any]], of_particles: list[str]) -> tuple[str, ...]:
    found = []
    if not run.finished:
        found.append(f"This run has not finished; `hypermol train --resume {quoted(run.path)}` continues it.")
    skipped = [row for row in log if row.get("event") == "skipped"]
    if skipped:
        reasons = sorted({str(row.get("reason", "")) for row in skipped})
        batches = "1 batch was" if len(skipped) == 1 else f"{len(skipped)} batches were"
        found.append(f"{batches} skipped in training: {'; '.join(reasons)}.")
    said = (str(row["text"]) for row in log if row.get("event") == "note")
    warned = (text.removeprefix(WARNING) for text in said if text.startswith(WARNING))
    found.extend(f"{text[:1].upper()}{text[1:]}." for text in warned)
    return (*found, *of_particles)
