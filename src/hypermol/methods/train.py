"""A job from particles to a finished run folder; new, or continued after any interruption."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hypermol.engine import Processes, RunStore, State, choose_device, choose_precision
from hypermol.errors import ConfigError, DataError
from hypermol.maps import write_map
from hypermol.methods.given import Given
from hypermol.methods.job import Conduct, Job, make_ready
from hypermol.methods.masks import settled_mask
from hypermol.methods.method import Results
from hypermol.methods.pose_findings import pose_in_z
from hypermol.methods.record import optics_found, run_config, run_method, run_particles, run_preparation
from hypermol.particles import Particles, Preparation, check_preparation, posed_name, write_posed
from hypermol.runs import WARNING, Run, occupied, refuse_existing
from hypermol.shell import quoted


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

    ``datadir`` to ``pixel_size``: see ``read_particles``. Raises, leaving no folder: DataError for bad input (files,
    metadata, pixels), ConfigError where the folder exists, the method needs poses that the file lacks, or settings do
    not fit the data.
    """
    conduct, preparation = conduct or Conduct(), preparation or Preparation()
    given = Given.at(path, datadir, passthrough, poses, ctf, pixel_size)
    refuse_existing(out)
    particles = given.read()
    _require_poses(particles, method)
    _require_ctf(particles, method)
    _require_halves(particles, method)
    box = check_preparation(preparation, particles.box)
    _require_whole_images(preparation, method)
    method = settled_mask(method, box, particles.pixel_size * particles.box / box)
    device, _ = choose_device(conduct.device)
    if hasattr(method, "precision"):  # settled now, so that a run resumed on another machine stays the same run
        method = dataclasses.replace(method, precision=choose_precision(method.precision, device))
    with Processes.join(device) as processes:
        job = make_ready(particles, method, preparation, seed, conduct, processes)
        if processes.first:
            Run.create(out, run_config(seed, method, given.to_config(particles), preparation))
        processes.barrier()
        with occupied(Path(out), processes.first):
            run = Run.open(out)
            try:
                return _work(run, job, seed, conduct)
            except (
                ConfigError,
                DataError,
            ):  # most come before anything is saved: what a method begins with does not fit
                if processes.first:
                    run.remove_unbegun()
                raise


def resume(path: Path | str, conduct: Conduct | None = None) -> Run:
    """Continue an interrupted run; a finished one is returned as it is.

    Raises ConfigError when the input file has changed since, or another process is working on the run.
    """
    run, conduct = Run.open(path), conduct or Conduct()
    if run.finished:
        return run
    if "inferred" in run.config:
        raise ConfigError(
            f"{path} is an inference by another run; continue it with `hypermol infer --resume {quoted(path)}`"
        )
    particles, method, seed = run_particles(run), run_method(run), run.config["seed"]
    with Processes.join(choose_device(conduct.device)[0]) as processes, occupied(run.path, processes.first):
        if processes.any(run.finished)[0]:  # by another process, since it was looked at
            return run
        job = make_ready(particles, method, run_preparation(run), seed, conduct, processes, every_pixel=False)
        return _work(run, job, seed, conduct)


def _require_poses(particles: Particles, method: Any) -> None:
    if method.needs_poses and not particles.has_poses:
        raise ConfigError(
            f"{particles.path} has no poses, and {method.name} needs them: expected rlnAngleRot, rlnAngleTilt, "
            "rlnAnglePsi (star) or alignments3D/pose (cs); let a method find them (-m abinitio, or -m ppca-abinitio "
            "where the molecule moves), or add --passthrough or --poses"
        )


def _require_ctf(particles: Particles, method: Any) -> None:
    if getattr(method, "needs_ctf", False) and particles.ctf is None:
        raise ConfigError(
            f"{particles.path} has no CTF, and {method.name} is asked to refine the defocus: expected rlnDefocusU, "
            "rlnDefocusV, … (star) or ctf/df1_A, … (cs); give a file that has them, or --set defocus=false"
        )


def _require_whole_images(preparation: Preparation, method: Any) -> None:
    if preparation.window is not None and getattr(method, "makes_images", False):
        raise ConfigError(
            f"window = {preparation.window:g}: {method.name} compares images with made ones, whose noise fills them; "
            "a window would tell the two apart whatever the map is, so leave it out"
        )


def _require_halves(particles: Particles, method: Any) -> None:
    fewest = getattr(method, "fewest_per_half", 0)
    counts = np.bincount(particles.half, minlength=2)
    if counts.min() < fewest:
        raise ConfigError(
            f"{particles.path}: its particles fall into half sets of {counts[0]} and {counts[1]}, and {method.name} "
            f"needs at least {fewest} in each half set (rlnRandomSubset or alignments3D/split says which is in which)"
        )


def _work(run: Run, job: Job, seed: int, conduct: Conduct) -> Run:
    state = job.loop(RunStore(run), seed, conduct).run()
    if job.processes.first:
        _write_results(run, job, job.method.results(state, job.context), state, conduct)
    job.processes.barrier()
    return run


def _write_results(run: Run, job: Job, results: Results, state: State, conduct: Conduct) -> None:
    if results.estimates:
        save_estimates(run, job.particles, job.method, results.estimates, conduct)
    run.volumes.mkdir(exist_ok=True)
    for name, volume in results.maps.items():
        write_map(run.volumes / f"{name}.mrc", volume, job.source.pixel_size)
    results = _with_pose_in_z(results, job.particles)
    if results.curves:
        run.save_curves(results.curves)
    if results.matrices:
        run.save_matrices(results.matrices)
    if results.metrics:
        run.save_metrics(results.metrics)
    for note in results.notes:
        run.append_log({"event": "note", "text": note})
        conduct.report({"event": "note", "text": note})
    skipped = state.data.get("skipped", 0)
    run.append_log({"event": "finished", "particles": state.clock.images, "skipped": skipped})


def _with_pose_in_z(results: Results, particles: Particles) -> Results:
    """What z says of the pose, of every method that has both."""
    rotation = results.estimates.get("rotation", particles.rotation)
    if rotation is None or "z" not in results.estimates:
        return results
    said, figure = pose_in_z(results.estimates["z"], np.asarray(rotation), "class" in results.estimates)
    notes = results.notes if said is None else (*results.notes, f"{WARNING}{said}")
    return dataclasses.replace(results, metrics={**results.metrics, **figure}, notes=notes)


def save_estimates(
    run: Run, particles: Particles, method: Any, found: Mapping[str, np.ndarray], conduct: Conduct
) -> None:
    """estimates.npz and, where poses were found, the particle file with them."""
    run.save_estimates({**_per_particle(particles), **found})
    if "rotation" in found:
        out = run.path / posed_name(particles)
        write_posed(particles, found["rotation"], found["shift"], out, **optics_found(method, found))
        conduct.report({"event": "note", "text": f"the particles with the poses found: {out}"})


def _per_particle(particles: Particles) -> dict[str, np.ndarray]:
    known: dict[str, np.ndarray | None] = {
        "particle": np.arange(particles.count),
        "half": np.asarray(particles.half),
        "image_particle": np.asarray(particles.image_particle),
        "rotation": particles.rotation,
        "shift": particles.shift,
    }
    return {name: value for name, value in known.items() if value is not None}
