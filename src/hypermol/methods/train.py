"""A job from particles to a finished run folder; new, or continued after any interruption."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hypermol import __version__
from hypermol.engine import Loop, Processes, RunStore, State, choose_device, choose_precision
from hypermol.errors import ConfigError
from hypermol.maps import write_map
from hypermol.methods.catalogue import METHODS
from hypermol.methods.given import Given
from hypermol.methods.job import Conduct, Job, make_ready
from hypermol.methods.method import Results
from hypermol.particles import Particles, Preparation
from hypermol.runs import Run, refuse_existing
from hypermol.specs import from_dict, to_dict


def train(
    path: Path | str,
    method: Any,
    out: Path | str,
    *,
    seed: int = 0,
    datadir: Path | str | None = None,
    passthrough: tuple[Path | str, ...] = (),
    poses: Path | str | None = None,
    ctf: Path | str | None = None,
    pixel_size: float | None = None,
    preparation: Preparation | None = None,
    conduct: Conduct | None = None,
) -> Run:
    """Run ``method`` on the particles of a star, cs or mrcs file and write the run folder ``out``.

    ``datadir`` to ``pixel_size``: see ``read_particles``. Raises, before the folder is made: DataError for bad input
    (files, metadata, pixels), ConfigError where the folder exists, the method needs poses that the file lacks, or
    settings do not fit the data.
    """
    conduct, preparation = conduct or Conduct(), preparation or Preparation()
    given = Given.at(path, datadir, passthrough, poses, ctf, pixel_size)
    refuse_existing(out)
    particles = given.read()
    _require_poses(particles, method)
    device, _ = choose_device(conduct.device)
    if hasattr(method, "precision"):  # settled now, so that a run resumed on another machine stays the same run
        method = dataclasses.replace(method, precision=choose_precision(method.precision, device))
    with Processes.join(device) as processes:
        job = make_ready(particles, method, preparation, seed, conduct, processes)
        if processes.first:
            config = {
                "seed": seed,
                "method": {"room": "method", **to_dict(method)},
                "input": given.to_config(particles),
                "preparation": {k: v for k, v in dataclasses.asdict(preparation).items() if v is not None},
                "versions": {"hypermol": __version__, "torch": torch.__version__, "numpy": np.__version__},
            }
            Run.create(out, config)
        processes.barrier()
        return _work(Run.open(out), job, seed, conduct)


def resume(path: Path | str, conduct: Conduct | None = None) -> Run:
    """Continue an interrupted run; a finished one is returned as it is.

    Raises ConfigError when the input file has changed since.
    """
    run, conduct = Run.open(path), conduct or Conduct()
    if run.finished:
        return run
    particles, method, config = run_particles(run), run_method(run), run.config
    with Processes.join(choose_device(conduct.device)[0]) as processes:
        preparation = Preparation(**config["preparation"])
        job = make_ready(particles, method, preparation, config["seed"], conduct, processes, every_pixel=False)
        return _work(run, job, config["seed"], conduct)


def run_method(run: Run) -> Any:
    """The method of a run, as configured."""
    METHODS.built_in()  # registers the kinds of this folder
    data = dict(run.config["method"])
    return from_dict(str(data.pop("room")), data)


def run_particles(run: Run) -> Particles:
    """The particles of a run, read again. Raises ConfigError when a file has changed or has gone."""
    config = run.config["input"]
    given = Given.in_config(config)
    given.require_unchanged(config["fingerprint"], run.path)
    return given.read()


def _require_poses(particles: Particles, method: Any) -> None:
    if method.needs_poses and not particles.has_poses:
        raise ConfigError(
            f"{particles.path} has no poses, and {method.name} needs them: expected rlnAngleRot, rlnAngleTilt, "
            "rlnAnglePsi (star) or alignments3D/pose (cs); refine the particles first, or add --passthrough or --poses"
        )


def _work(run: Run, job: Job, seed: int, conduct: Conduct) -> Run:
    loop = Loop(
        job.program,
        job.source,
        RunStore(run),
        seed=seed,
        device=job.device,
        processes=job.processes,
        microbatch=job.method.microbatch,
        checkpoint_seconds=conduct.checkpoint_seconds,
        report=conduct.report,
        asked_to_stop=conduct.asked_to_stop,
    )
    state = loop.run()
    if job.processes.first:
        _write_results(run, job, job.method.results(state, job.context), state, conduct)
    job.processes.barrier()
    return run


def _write_results(run: Run, job: Job, results: Results, state: State, conduct: Conduct) -> None:
    if results.estimates:
        run.save_estimates({**_per_particle(job.particles), **results.estimates})
    run.volumes.mkdir(exist_ok=True)
    for name, volume in results.maps.items():
        write_map(run.volumes / f"{name}.mrc", volume, job.source.pixel_size)
    if results.curves:
        run.save_curves(results.curves)
    if results.metrics:
        run.save_metrics(results.metrics)
    for note in results.notes:
        run.append_log({"event": "note", "text": note})
        conduct.report({"event": "note", "text": note})
    skipped = state.data.get("skipped", 0)
    run.append_log({"event": "finished", "particles": state.clock.images, "skipped": skipped})


def _per_particle(particles: Particles) -> dict[str, np.ndarray]:
    known: dict[str, np.ndarray | None] = {
        "particle": np.arange(particles.count),
        "half": np.asarray(particles.half),
        "image_particle": np.asarray(particles.image_particle),
        "rotation": particles.rotation,
        "shift": particles.shift,
    }
    return {name: value for name, value in known.items() if value is not None}
