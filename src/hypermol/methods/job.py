"""A job made ready: images looked over, the method built for them. No run folder exists yet when this fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch

from hypermol.engine import InterruptedRun, Loop, Processes, Program, Store, choose_device
from hypermol.methods.context import build_context
from hypermol.particles import ImageSource, Particles, Preparation, check_particles
from hypermol.specs import BuildContext


@dataclasses.dataclass(frozen=True)
class Conduct:
    """How a job runs on this machine; none of it changes the result."""

    device: str = "auto"
    memory_limit: int | None = None  # bytes of images kept in memory; None: as the machine allows
    checkpoint_seconds: float = 60.0
    report: Callable[[dict[str, Any]], None] = lambda event: None
    asked_to_stop: Callable[[], bool] = lambda: False


@dataclasses.dataclass(frozen=True)
class Job:
    """What a loop needs: particles and their images, the method's program, and where it runs."""

    particles: Particles
    source: ImageSource
    method: Any
    context: BuildContext
    program: Program
    device: torch.device
    processes: Processes

    def loop(self, store: Store, seed: int, conduct: Conduct) -> Loop:
        """The loop that does this job, from where ``store`` was left."""
        return Loop(
            self.program,
            self.source,
            store,
            seed=seed,
            device=self.device,
            processes=self.processes,
            microbatch=self.method.microbatch,
            checkpoint_seconds=conduct.checkpoint_seconds,
            report=conduct.report,
            asked_to_stop=conduct.asked_to_stop,
        )


def reading_progress(conduct: Conduct) -> Callable[[int, int], None]:
    """Reports how many images have been read."""

    def progress(done: int, total: int) -> None:
        conduct.report({"event": "step", "text": "reading images", "done": done, "total": total})

    return progress


def make_ready(
    particles: Particles,
    method: Any,
    preparation: Preparation,
    seed: int,
    conduct: Conduct,
    processes: Processes,
    every_pixel: bool = True,
) -> Job:
    """Look the images over, say what they are, and build the method.

    ``every_pixel``: also where images are streamed, all of up to 4 GB (a seeded sample of more) are read first.
    Raises DataError that lists unfit images, ConfigError for settings that do not fit the data, InterruptedRun.
    """
    device, why = choose_device(conduct.device)
    source = ImageSource(particles, preparation, memory_limit_bytes=conduct.memory_limit, device=device)
    introduce(source, why, conduct, processes, every_pixel)
    context = build_context(source, seed, getattr(method, "precision", "float32") == "bfloat16")
    return Job(particles, source, method, context, method.program(context), device, processes)


def introduce(source: ImageSource, why: str, conduct: Conduct, processes: Processes, every_pixel: bool) -> None:
    """Look the images over, and say what they are and where work is done (``why``). Raises as ``make_ready``."""
    say = _speaker(conduct, processes)
    for line in check_particles(source.particles, images=False).lines():
        say(line)
    if source.box != source.particles.box:
        say(f"images: Fourier-cropped to {source.box} px, {source.pixel_size:.4g} Å per pixel")
    _look_over(source, conduct, processes, every_pixel)
    for line in (*source.notes, f"device: {why}"):
        say(line)


def _look_over(source: ImageSource, conduct: Conduct, processes: Processes, every_pixel: bool) -> None:
    reading = reading_progress(conduct)

    def progress(done: int, total: int) -> None:
        if conduct.asked_to_stop():
            raise InterruptedRun("stopped while the images were being read, before the first update")
        if processes.first:
            reading(done, total)

    if source.storage is None and every_pixel:
        check_particles(source.particles, progress=progress).raise_if_bad()
    source.load_all(progress)


def _speaker(conduct: Conduct, processes: Processes) -> Callable[[str], None]:
    """One process speaks for all."""

    def say(text: str) -> None:
        if processes.first:
            conduct.report({"event": "note", "text": text})

    return say
