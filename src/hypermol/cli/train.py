"""hypermol train"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from hypermol.cli.options import (
    Ctf,
    DataDir,
    Device,
    MemoryGb,
    Particles,
    Passthrough,
    PixelSize,
    Poses,
    Settings,
    memory_bytes,
    parse_settings,
)
from hypermol.errors import ConfigError, HypermolError
from hypermol.shell import quoted

if TYPE_CHECKING:
    from hypermol.methods import Conduct
    from hypermol.runs import Run

AUTO = "auto"
PREPARATION = ("box", "window", "normalise", "sign")


def train(
    particles: Particles | None = None,
    /,
    *,
    method: Annotated[
        str | None, Parameter(name=["--method", "-m"], help="See `hypermol methods`; auto unless told otherwise.")
    ] = None,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"], help="The run folder to make.")] = None,
    resume: Annotated[Path | None, Parameter(help="Continue this run folder instead.")] = None,
    settings: Settings = (),
    datadir: DataDir = None,
    passthrough: Passthrough = (),
    poses: Poses = None,
    ctf: Ctf = None,
    pixel_size: PixelSize = None,
    device: Device = "auto",
    memory_gb: MemoryGb = None,
) -> None:
    """Reconstruct: from particles to a run folder with maps, estimates and a log.

    `hypermol methods METHOD` lists what can be set. Data settings are set alike: `--set box=128` (Fourier crop),
    `--set sign=-1` (dark particles). A run that was stopped goes on with `hypermol train --resume RUN`.

    Example: `hypermol train particles.star -m cryodrgn -o run --set epochs=30 --set z_dim=8`
    """
    from hypermol.cli.progress import conducted, duration
    from hypermol.cli.say import say

    began = time.monotonic()
    reading = {"datadir": datadir, "passthrough": passthrough, "poses": poses, "ctf": ctf, "pixel_size": pixel_size}
    others = any(value not in (None, ()) for value in (particles, method, out, settings, *reading.values()))
    folder, limit = _check_arguments(particles, out, resume, others), memory_bytes(memory_gb)
    job: Callable[[Conduct], Run] = partial(_continue, folder)
    if particles is not None:
        job = partial(_begin, particles, AUTO if method is None else method, folder, settings, reading)
    run = conducted(job, device, limit, partial(with_hint, folder=folder))
    for line in _figures(run):
        say(line)
    say(f"done in {duration(time.monotonic() - began)}: {run.path}")
    say(f"next: {_next_step(run)}")


def _check_arguments(particles: Path | None, out: Path | None, resume: Path | None, others: bool) -> Path:
    """The run folder, where the arguments make sense; before anything slow is imported."""
    if resume is not None and others:
        raise ConfigError(
            "--resume RUN goes alone: a run keeps the particles, the method and the settings it was started with"
        )
    if resume is None and particles is None:
        raise ConfigError("which particles? give a .star or .cs file, or --resume RUN")
    folder = resume or out
    if folder is None:
        raise ConfigError("where to? give the run folder with -o RUN")
    return folder


def _figures(run: Run) -> list[str]:
    """Lines for the figures that the run computed."""
    from hypermol.runs import in_words

    return [
        f"{name.replace('_', ' ')}: {in_words(name, figure)} ({figure['how']})"
        for name, figure in run.metrics().items()
    ]


def _next_step(run: Run) -> str:
    has_z = (run.path / "estimates.npz").exists() and "z" in run.estimates()
    return (f"hypermol analyze {quoted(run.path)}; " if has_z else "") + f"hypermol report {quoted(run.path)}"


def _begin(
    particles: Path, method: str, out: Path, settings: tuple[str, ...], reading: dict[str, Any], conduct: Conduct
) -> Run:
    from hypermol.methods import configured, find_method, train

    values = parse_settings(settings)
    others = ("seed", *PREPARATION)
    chosen = configured(find_method(method), {key: value for key, value in values.items() if key not in others}, others)
    return train(
        particles,
        chosen,
        out,
        seed=_seed(values),
        preparation=_preparation(values),
        conduct=conduct,
        **reading,
    )


def _continue(run: Path, conduct: Conduct) -> Run:
    from hypermol.cli.say import say
    from hypermol.methods import resume
    from hypermol.runs import Run

    if Run.open(run).finished:
        say("this run had already finished; nothing was done")
    return resume(run, conduct)


def with_hint(error: Exception, folder: Path, command: str = "train") -> Exception:
    """What to do next, where a job was stopped or its disk is full."""
    from hypermol.cli.main import FULL
    from hypermol.engine import InterruptedRun

    begun = (folder / "config.toml").exists()
    way = (
        f"continue with: hypermol {command} --resume {quoted(folder)}"
        if begun
        else "no run folder was made; begin again"
    )
    if isinstance(error, InterruptedRun):
        return InterruptedRun(f"stopped as asked; {way}")
    if isinstance(error, OSError) and error.errno in FULL:
        where = error.filename or folder
        return HypermolError(
            f"{where} could not be written ({error.strerror}); what was saved before is whole. Make room, then {way}"
        )
    return error


def _seed(values: dict[str, Any]) -> int:
    seed = values.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise ConfigError(f"seed = {seed}: expected a whole number of at least 0")
    return seed


def _preparation(values: dict[str, Any]) -> Any:
    from hypermol.particles import Preparation
    from hypermol.specs import validated

    given = {name: values[name] for name in PREPARATION if name in values}
    return validated(Preparation, given, {name: name for name in given})
