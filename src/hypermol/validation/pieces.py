"""A piece of a validation: the run's own method on some of its particles, in a run folder of its own.

Each piece resumes from its newest checkpoint like any run, and a finished one is never run again.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from hypermol.engine import Processes, RunStore, choose_device
from hypermol.errors import DataError
from hypermol.maps import write_map
from hypermol.methods import Conduct, run_method, run_particles, without_places
from hypermol.methods.context import build_context
from hypermol.methods.job import Job, reading_progress
from hypermol.methods.record import run_config, run_preparation
from hypermol.particles import ImageSource, Particles, Preparation
from hypermol.runs import Run, occupied
from hypermol.validation.noise_images import NoiseSource

FEWEST = 20
"""Particles in a half below which nothing is validated."""


@dataclasses.dataclass(frozen=True)
class Whole:
    """What is validated: the run, its method, all its particles and how their images are prepared."""

    run: Run
    method: Any
    particles: Particles
    preparation: Preparation
    seed: int
    sources: dict[int, ImageSource] = dataclasses.field(
        default_factory=dict, compare=False
    )  # of each half, once opened

    @classmethod
    def of(cls, run: Run) -> Whole:
        """Raises ConfigError where the particles have gone or changed, DataError where a half is too small."""
        particles = run_particles(run)
        counts = np.bincount(particles.half, minlength=2)
        if counts.min() < FEWEST:
            raise DataError(
                f"{run.path}: its particles fall into halves of {counts[0]} and {counts[1]}; at least {FEWEST} are "
                "needed in each (rlnRandomSubset or alignments3D/split says which particle is in which half)"
            )
        return cls(run, run_method(run), particles, run_preparation(run), int(run.config["seed"]))

    def rows(self, half: int) -> np.ndarray:
        """Numbers of the particles of one half."""
        return np.flatnonzero(self.particles.half == half)


@dataclasses.dataclass(frozen=True)
class Piece:
    """One job: ``name`` of its folder, the ``half`` it sees, ``seed``, ``method``; noise in place of images or not."""

    name: str
    half: int
    seed: int
    method: Any
    noise: bool = False


def pieces_of(whole: Whole, noise: bool) -> list[Piece]:
    """The two halves, and the same on noise. Seeds differ: networks that start alike would agree about noise. Folders
    are numbered 1 and 2 as half maps are everywhere (rlnRandomSubset too); arrays hold 0 and 1."""
    seeds = (1000 * (whole.seed + 1), 1000 * (whole.seed + 1) + 1)
    kinds = (("half", False), ("noise", True))[: 2 if noise else 1]
    return [Piece(f"{k}{h + 1}", h, seeds[h] + 10 * n, whole.method, n) for k, n in kinds for h in range(2)]


def half_source(whole: Whole, half: int, conduct: Conduct) -> ImageSource:
    """Images of one half, opened once: all stages use the same prepared images."""
    if half not in whole.sources:
        device, _ = choose_device(conduct.device)
        limit = None if conduct.memory_limit is None else conduct.memory_limit // 2
        subset = _subset(whole, whole.rows(half))
        whole.sources[half] = ImageSource(subset, whole.preparation, memory_limit_bytes=limit, device=device)
    return whole.sources[half]


def _subset(whole: Whole, rows: np.ndarray) -> Particles:
    """Some particles, with halves of their own: whoever sees one half only regularises by halving it again."""
    halves = np.random.default_rng([whole.seed, 5]).permutation(whole.particles.count)[rows].argsort().argsort() % 2
    return dataclasses.replace(whole.particles.subset(rows), half=halves.astype(np.int8), half_source="drawn")


def piece_source(whole: Whole, piece: Piece, conduct: Conduct) -> Any:
    """The images that a piece is trained on: those of its half, or noise in their place."""
    source = half_source(whole, piece.half, conduct)
    return NoiseSource(source, piece.seed) if piece.noise else source


def run_piece(whole: Whole, piece: Piece, folder: Path, conduct: Conduct) -> Run:
    """Begin, continue or, where it has finished, return the run of a piece, in ``folder``/NAME.

    Raises DataError where the folder holds another job; whatever training raises.
    """
    path = folder / piece.name
    config = _config(whole, piece)
    run = Run.open(path) if (path / "config.toml").exists() else Run.create(path, config)
    _require_same(run, config)
    if run.finished:
        return run
    device, _ = choose_device(conduct.device)
    with Processes.join(device) as processes, occupied(path, processes.first):
        if processes.any(run.finished)[0]:  # by another process, since it was looked at
            return run
        source = piece_source(whole, piece, conduct)
        source.load_all(reading_progress(conduct))
        context = build_context(source, piece.seed, getattr(piece.method, "precision", "float32") == "bfloat16")
        program = piece.method.program(context)
        job = Job(source.particles, source, piece.method, context, program, device, processes)
        state = job.loop(RunStore(run), piece.seed, conduct).run()
        results = piece.method.results(state, context)
        rows = whole.rows(piece.half)
        if results.estimates:
            run.save_estimates({"particle": rows, **results.estimates})
        run.volumes.mkdir(exist_ok=True)
        for name, volume in results.maps.items():
            write_map(run.volumes / f"{name}.mrc", volume, source.pixel_size)
        run.append_log({"event": "finished", "particles": state.clock.images})
    return run


def latent_of(run: Run, count: int) -> np.ndarray:
    """z of a piece's own particles [count, d]; d is 0 where its method could have found some and found none."""
    known = run.estimates() if (run.path / "estimates.npz").exists() else {}
    z = known.get("z", np.zeros((count, 0)))
    return z.reshape(count, -1) if z.size else np.zeros((count, 0))


def _config(whole: Whole, piece: Piece) -> dict[str, Any]:
    given = {k: v for k, v in whole.run.config["input"].items() if k not in ("count", "images")}
    rows = whole.rows(piece.half)
    described = {**given, "count": len(rows), "half": piece.half, "noise_for_images": piece.noise}
    return run_config(piece.seed, piece.method, described, whole.preparation)


def _same_data(given: dict[str, Any], of_older: dict[str, Any]) -> dict[str, Any]:
    known = without_places(given)
    if "images_fingerprint" not in of_older:  # older runs did not know their images
        known.pop("images_fingerprint", None)
    return known


def _require_same(run: Run, config: dict[str, Any]) -> None:
    found, wanted = ({**c, "input": _same_data(c["input"], run.config["input"])} for c in (run.config, config))
    for part in ("seed", "method", "input", "preparation"):
        if found[part] != wanted[part]:
            raise DataError(
                f"{run.path} belongs to another job (its {part} differs): the run was made anew since it was "
                f"validated, or an earlier version validated it; remove {run.path.parent} and validate again"
            )
