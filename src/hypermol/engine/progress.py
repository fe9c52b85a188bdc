"""How much of a job is done, and how long the rest will take."""

from __future__ import annotations

import time
from collections.abc import Sequence

from hypermol.engine.contracts import Phase
from hypermol.engine.state import Clock


class Forecast:
    """Work is counted in particles, weighted by the share of pixels that the band limit leaves."""

    def __init__(self, phases: Sequence[Phase], count: int) -> None:
        self._phases, self._count = phases, count
        self._passes = _expected_passes(phases, count)
        self._total = sum(self._work_of_phase(i) for i in range(len(phases)))
        self._done = 0.0
        self._worked = 0.0
        self._began = time.monotonic()
        self._clock = Clock()

    def advance(self, clock: Clock, particles: int, progress: float) -> None:
        """Note a finished batch."""
        phase = self._phases[clock.phase]
        self._worked += particles * _share(phase, progress)
        done = sum(self._work_of_phase(i) for i in range(clock.phase))
        done += sum(self._work_of_pass(phase, i) for i in range(clock.pass_index))
        inside = min(1.0, clock.batch * phase.batch_size / self._count)
        self._done = done + inside * self._work_of_pass(phase, clock.pass_index)

    @property
    def fraction(self) -> float:
        """Between 0 and 1."""
        return min(1.0, self._done / max(self._total, 1e-9))

    @property
    def seconds_left(self) -> float | None:
        """At the speed seen since this process began; None before anything was seen."""
        if self._worked == 0:
            return None
        return (self._total - self._done) * (time.monotonic() - self._began) / self._worked

    def _work_of_phase(self, index: int) -> float:
        return sum(self._work_of_pass(self._phases[index], i) for i in range(self._passes[index]))

    def _work_of_pass(self, phase: Phase, index: int) -> float:
        return self._count * _share(phase, (index + 0.5) / phase.passes)


def _expected_passes(phases: Sequence[Phase], count: int) -> list[int]:
    """At most how many passes each phase will take: ``Phase.images`` counts from the start of the job."""
    passes, seen = [], 0
    for phase in phases:
        wanted = phase.passes
        if phase.images is not None:
            wanted = min(wanted, -(-max(phase.images - seen, 0) // max(count, 1)))
        passes.append(wanted)
        seen += wanted * count
    return passes


def _share(phase: Phase, progress: float) -> float:
    if phase.band_limit is None:
        return 1.0
    return (phase.band_limit(progress) / phase.band_limit(1.0)) ** 2
