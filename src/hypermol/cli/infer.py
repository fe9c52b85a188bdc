"""hypermol infer"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from hypermol.cli.options import Ctf, DataDir, Device, MemoryGb, Passthrough, PixelSize, Poses, memory_bytes
from hypermol.errors import ConfigError
from hypermol.shell import quoted

if TYPE_CHECKING:
    from hypermol.methods import Conduct
    from hypermol.runs import Run


def infer(
    run: Annotated[Path | None, Parameter(help="A finished run.")] = None,
    particles: Annotated[Path | None, Parameter(help="Other particles: .star, .cs or .mrcs.")] = None,
    /,
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"], help="The run folder to make.")] = None,
    resume: Annotated[Path | None, Parameter(help="Continue this inference instead.")] = None,
    reference: Annotated[
        int, Parameter(help="How many of the run's own particles to compare with; 0: none is called unlike them.")
    ] = 1000,
    z_steps: Annotated[
        int, Parameter(help="Gradient steps per particle from an encoder's z: better where it saw few images.")
    ] = 0,
    datadir: DataDir = None,
    passthrough: Passthrough = (),
    poses: Poses = None,
    ctf: Ctf = None,
    pixel_size: PixelSize = None,
    device: Device = "auto",
    memory_gb: MemoryGb = None,
) -> None:
    """Apply a finished run to other particles: pose, z and uncertainty of each, and which are unlike the run's own.

    The maps stay as they are. OUT is a run folder like any other: `hypermol analyze`, `report`, `volumes` and `select`
    work on it; `select OUT --outliers --invert` leaves out what is unlike. Images are streamed; several processes share
    them under torchrun.

    Example: `hypermol infer run more.star -o more`
    """
    from hypermol.cli.progress import conducted, duration
    from hypermol.cli.say import say

    began = time.monotonic()
    reading = {"datadir": datadir, "passthrough": passthrough, "poses": poses, "ctf": ctf, "pixel_size": pixel_size}
    job: Callable[[Conduct], Run]
    if resume is not None:
        if any(value not in (None, ()) for value in (run, particles, out, *reading.values())):
            raise ConfigError("--resume OUT goes alone: it keeps the run and the particles that it was started with")
        job, folder = partial(_continue, resume), resume
    else:
        job, folder = _begun(run, particles, out, {**reading, "reference": reference, "z_steps": z_steps})
    found = conducted(job, device, memory_bytes(memory_gb), partial(_with_hint, folder=folder))
    say(f"done in {duration(time.monotonic() - began)}: {found.path}")
    say(f"next: {_next_step(found)}")


def _begun(
    run: Path | None, particles: Path | None, out: Path | None, more: dict[str, Any]
) -> tuple[Callable[[Conduct], Run], Path]:
    if run is None or particles is None:
        raise ConfigError("which run, and which particles? `hypermol infer RUN PARTICLES -o OUT`, or --resume OUT")
    if out is None:
        raise ConfigError("where to? give the folder with -o OUT")

    def job(conduct: Conduct) -> Run:
        from hypermol.methods import infer

        return infer(run, particles, out, **more, conduct=conduct)

    return job, out


def _continue(folder: Path, conduct: Conduct) -> Run:
    from hypermol.cli.say import say
    from hypermol.methods import resume_inference
    from hypermol.runs import Run

    if Run.open(folder).finished:
        say("this inference had already finished; nothing was done")
    return resume_inference(folder, conduct)


def _with_hint(error: Exception, folder: Path) -> Exception:
    from hypermol.cli.train import with_hint

    return with_hint(error, folder, "infer")


def _next_step(run: Run) -> str:
    found = run.estimates()
    steps = [f"hypermol analyze {quoted(run.path)}"] if "z" in found else []
    if "outlier" in found and found["outlier"].any():
        suffix = Path(run.config["input"]["particles"]).suffix
        steps.append(f"hypermol select {quoted(run.path)} --outliers --invert -o kept{suffix}")
    return "; ".join([*steps, f"hypermol report {quoted(run.path)}"])
