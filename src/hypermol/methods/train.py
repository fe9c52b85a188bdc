"""A job from particles to a finished run folder; new, or continued after any interruption."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hypermol import __version__
from hypermol.engine import Loop, Processes, RunStore, State, choose_device, choose_precision
from hypermol.errors import ConfigError
from hypermol.maps import write_map
from hypermol.methods.context import build_context
from hypermol.methods.method import Results
from hypermol.particles import ImageSource, Particles, Preparation, read_particles
from hypermol.runs import Run, fingerprint
from hypermol.specs import from_dict, to_dict


@dataclasses.dataclass(frozen=True)
class Conduct:
    """How a job runs on this machine; none of it changes the result."""

    device: str = "auto"
    memory_limit: int | None = None  # bytes of images kept in memory; None: as the machine allows
    checkpoint_seconds: float = 60.0
    report: Callable[[dict[str, Any]], None] = lambda event: None
    asked_to_stop: Callable[[], bool] = lambda: False


def train(
    path: Path | str,
    method: Any,
    out: Path | str,
    *,
    seed: int = 0,
    datadir: Path | str | None = None,
    passthrough: tuple[Path, ...] = (),
    preparation: Preparation | None = None,
    conduct: Conduct | None = None,
) -> Run:
    """Run ``method`` on the particles of a star or cs file and write the run folder ``out``.

    Raises DataError for bad input and ConfigError for poses that the method needs and the file lacks, both before
    the folder is made; ConfigError where the folder exists.
    """
    path, conduct = Path(path).resolve(), conduct or Conduct()
    particles = read_particles(path, datadir=datadir, passthrough=passthrough)
    _require_poses(particles, method)
    device, _ = choose_device(conduct.device)
    if hasattr(method, "precision"):  # settled now, so that a run resumed on another machine stays the same run
        method = dataclasses.replace(method, precision=choose_precision(method.precision, device))
    preparation = preparation or Preparation()
    source_folder = None if datadir is None else str(Path(datadir).resolve())
    config = {
        "seed": seed,
        "method": {"room": "method", **to_dict(method)},
        "input": {
            "particles": str(path),
            "fingerprint": fingerprint(path),
            **({} if source_folder is None else {"datadir": source_folder}),
            "passthrough": [str(Path(p).resolve()) for p in passthrough],
            "count": particles.count,
            "images": particles.images,
            "box": particles.box,
            "pixel_size": particles.pixel_size,
        },
        "preparation": {k: v for k, v in dataclasses.asdict(preparation).items() if v is not None},
        "versions": {"hypermol": __version__, "torch": torch.__version__, "numpy": np.__version__},
    }
    processes = Processes.join(device)
    if processes.first:
        run = Run.create(out, config)
    processes.barrier()
    run = Run.open(out)
    return _work(run, particles, method, conduct, processes)


def resume(path: Path | str, conduct: Conduct | None = None) -> Run:
    """Continue an interrupted run; a finished one is returned as it is.

    Raises ConfigError when the input file has changed since.
    """
    run = Run.open(path)
    if run.finished:
        return run
    conduct = conduct or Conduct()
    processes = Processes.join(choose_device(conduct.device)[0])
    return _work(run, run_particles(run), run_method(run), conduct, processes)


def run_method(run: Run) -> Any:
    """The method of a run, as configured."""
    data = dict(run.config["method"])
    return from_dict(str(data.pop("room")), data)


def run_particles(run: Run) -> Particles:
    """The particles of a run, read again. Raises ConfigError when the file has changed or has gone."""
    config = run.config["input"]
    path = Path(config["particles"])
    if not path.exists():
        raise ConfigError(f"{path}: the particles of {run.path} are no longer there; put the file back")
    if fingerprint(path) != config["fingerprint"]:
        raise ConfigError(f"{path} has changed since {run.path} was started; begin a new run")
    return read_particles(path, datadir=config.get("datadir"), passthrough=tuple(map(Path, config["passthrough"])))


def _require_poses(particles: Particles, method: Any) -> None:
    if method.needs_poses and not particles.has_poses:
        raise ConfigError(
            f"{particles.path} has no poses, and {method.name} needs them: expected rlnAngleRot, rlnAngleTilt, "
            "rlnAnglePsi (star) or alignments3D/pose (cs); refine the particles first, or add --passthrough"
        )


def _work(run: Run, particles: Particles, method: Any, conduct: Conduct, processes: Processes) -> Run:
    config = run.config
    device, why = choose_device(conduct.device)
    source = ImageSource(
        particles, Preparation(**config["preparation"]), memory_limit_bytes=conduct.memory_limit, device=device
    )
    for line in (f"device: {why}", *source.notes):
        conduct.report({"event": "note", "text": line})
    autocast = getattr(method, "precision", "float32") == "bfloat16"
    context = build_context(source, config["seed"], autocast)
    store = RunStore(run)
    loop = Loop(
        method.program(context),
        source,
        store,
        seed=config["seed"],
        device=device,
        processes=processes,
        microbatch=method.microbatch,
        checkpoint_seconds=conduct.checkpoint_seconds,
        report=conduct.report,
        asked_to_stop=conduct.asked_to_stop,
    )
    state = loop.run()
    if processes.first:
        _write_results(run, particles, method.results(state, context), source, state)
    processes.barrier()
    return run


def _write_results(run: Run, particles: Particles, results: Results, source: ImageSource, state: State) -> None:
    if results.estimates:
        run.save_estimates({**_per_particle(particles), **results.estimates})
    run.volumes.mkdir(exist_ok=True)
    for name, volume in results.maps.items():
        write_map(run.volumes / f"{name}.mrc", volume, source.pixel_size)
    if results.curves:
        run.save_curves(results.curves)
    if results.metrics:
        run.save_metrics(results.metrics)
    skipped = state.data.get("skipped", 0)
    run.append_log({"event": "finished", "images": state.clock.images, "skipped": skipped})


def _per_particle(particles: Particles) -> dict[str, np.ndarray]:
    known: dict[str, np.ndarray | None] = {
        "particle": np.arange(particles.count),
        "half": np.asarray(particles.half),
        "image_particle": np.asarray(particles.image_particle),
        "rotation": particles.rotation,
        "shift": particles.shift,
    }
    return {name: value for name, value in known.items() if value is not None}
