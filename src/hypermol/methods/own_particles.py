"""Some of a run's own particles, looked at as if it had never seen them: to know what is usual."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.arrays import read_npz
from hypermol.atomic import write_with
from hypermol.engine import Clock, Loop, MemoryStore, Phase, Processes, Program, State
from hypermol.errors import HypermolError
from hypermol.methods.job import Conduct
from hypermol.methods.record import run_particles, run_preparation
from hypermol.particles import ImageSource, Particles
from hypermol.runs import Run

FILE = "own-particles.npz"


def particles_if_there(run: Run) -> tuple[Particles | None, str]:
    """The particles that a run was trained on; None, and why, where their files have gone or have changed."""
    try:
        particles = run_particles(run)
    except HypermolError as error:
        return None, str(error)
    known = run.estimates() if (run.path / "estimates.npz").exists() else {}
    if "particle" in known and len(known["particle"]) < particles.count:  # a run on one half
        particles = particles.subset(known["particle"])
    return particles, ""


def look_again(
    run: Run,
    source_run: Run,
    particles: Particles,
    state: State,
    phase: Callable[[ImageSource], Phase],
    conduct: Conduct,
    processes: Processes,
    device: torch.device,
) -> dict[str, np.ndarray]:
    """Rows of at most ``reference`` particles, evenly spread, and their numbers, "particle"; kept in ``run``, so that
    an inference that goes on does not begin with them again."""
    path, wanted = run.path / FILE, int(run.config["inferred"]["reference"])
    if path.exists():
        return read_npz(path, "remove it, and continue")
    chosen = np.unique(np.linspace(0, particles.count - 1, min(wanted, particles.count)).round().astype(np.int64))
    whole = ImageSource(particles, run_preparation(source_run), memory_limit_bytes=0, device=device)
    begun = State(state.tensors, {}, dict(state.data), Clock())
    loop = Loop(
        Program(lambda: begun, (phase(whole),)),
        Part(whole, torch.from_numpy(chosen)),
        MemoryStore(),
        seed=int(run.config["seed"]),
        device=device,
        processes=processes,
        report=conduct.report,
        asked_to_stop=conduct.asked_to_stop,
    )
    found: dict[str, Any] = {name: values.cpu().numpy() for name, values in loop.run().table.items()}
    found["particle"] = chosen
    if processes.first:
        write_with(path, lambda stream: np.savez(stream, **found))
    processes.barrier()
    return found


@dataclasses.dataclass(frozen=True)
class Part:
    """Some particles of a source, prepared as the whole is."""

    whole: ImageSource
    chosen: Tensor

    @property
    def count(self) -> int:
        """How many particles."""
        return len(self.chosen)

    def image_count(self, particles: Tensor) -> int:
        """How many images they have."""
        return self.whole.image_count(self.chosen[particles])

    def pass_order(self, seed: int, pass_index: int, shuffle: bool) -> Tensor:
        """In the order of the file."""
        return torch.arange(self.count)

    def stream(self, groups: Iterable[Tensor]) -> Iterator[Any]:
        """Batches whose particles are numbered from 0 on."""
        numbers = list(groups)
        for group, batch in zip(numbers, self.whole.stream(self.chosen[group] for group in numbers), strict=True):
            yield dataclasses.replace(batch, particle=group.to(batch.particle))
