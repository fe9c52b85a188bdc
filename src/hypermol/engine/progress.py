"""How much of a job is done, and how long the rest will take."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from hypermol.engine.contracts import Phase
from hypermol.engine.state import Clock

UNKNOWN = 0.001
"""Weight, beside what was timed, of the guess that half of the time goes into what no band limit makes cheaper."""


class Forecast:
    """A particle costs a + b × the share of pixels that the band limit leaves: an encoder sees whole images whatever
    the limit, a decoder the pixels that are left. a and b are fitted to the batches seen since this process began: for
    each phase to its own, since a search and a training cost unlike times; where it has none yet, to those of all."""

    def __init__(self, phases: Sequence[Phase], count: int, now: Callable[[], float] = time.monotonic) -> None:
        self._phases, self._count, self._now = phases, count, now
        self._passes = _expected_passes(phases, count)
        self._work = self._work_before_passes()
        self._done, self._phase = np.zeros(2), 0
        self._seen, self._worked = np.zeros((len(phases), 2, 2)), np.zeros((len(phases), 2))
        self._largest = 0
        self._last = self._now()

    def advance(self, clock: Clock, particles: int, progress: float) -> None:
        """Note a finished batch."""
        phase = self._phases[clock.phase]
        now, work = self._now(), particles * np.array([1.0, _share(phase, progress)])
        self._seen[clock.phase] += np.outer(work, work)
        self._worked[clock.phase] += work * (now - self._last)
        self._last, self._phase, self._largest = now, clock.phase, max(self._largest, particles)
        if clock.pass_index >= self._passes[clock.phase]:  # not all went well
            self._passes[clock.phase] = min(phase.passes, clock.pass_index + (phase.usual_passes or 1))
            self._work = self._work_before_passes()
        inside = min(1.0, clock.batch * phase.batch_size / self._count)
        self._done = self._work[clock.phase][clock.pass_index] + inside * self._work_of_pass(phase, clock.pass_index)

    @property
    def fraction(self) -> float:
        """Of all particles, each as often as it will be seen; between 0 and 1."""
        totals = [work[-1][0] for work in self._work]
        done = sum(totals[: self._phase]) + self._done[0]
        return min(1.0, float(done / max(sum(totals), 1e-9)))

    @property
    def seconds_left(self) -> float | None:
        """None before anything was seen."""
        if not self._seen.any():
            return None
        totals = [work[-1] for work in self._work[self._phase :]]
        left = [totals[0] - self._done, *totals[1:]]
        costs = (self._cost(phase) for phase in range(self._phase, len(self._work)))
        return max(0.0, float(sum(cost @ work for cost, work in zip(costs, left, strict=True))))

    def _cost(self, phase: int) -> np.ndarray:
        """a and b of a phase. Batches of other phases weigh as much as one of its own, all together."""
        seen, worked = self._seen.sum(0), self._worked.sum(0)
        if not self._seen[phase].any():
            return _fitted(seen, worked)
        weight = self._largest**2 / seen[0, 0]
        return _fitted(self._seen[phase] + weight * seen, self._worked[phase] + weight * worked)

    def _work_before_passes(self) -> list[np.ndarray]:
        """Per phase the work before each of its passes, and of all of them."""
        return [
            np.cumsum([np.zeros(2), *(self._work_of_pass(phase, i) for i in range(passes))], 0)
            for phase, passes in zip(self._phases, self._passes, strict=True)
        ]

    def _work_of_pass(self, phase: Phase, index: int) -> np.ndarray:
        """Particles, and particles times their share of the pixels."""
        return self._count * np.array([1.0, _share(phase, (index + 0.5) / phase.passes)])


def _expected_passes(phases: Sequence[Phase], count: int) -> list[int]:
    """How many passes each phase will take if all goes well: ``Phase.images`` counts from the start of the job."""
    passes, seen = [], 0
    for phase in phases:
        wanted = phase.passes if phase.usual_passes is None else min(phase.passes, phase.usual_passes)
        if phase.images is not None:
            wanted = min(wanted, -(-max(phase.images - seen, 0) // max(count, 1)))
        passes.append(wanted)
        seen += wanted * count
    return passes


def _fitted(seen: np.ndarray, worked: np.ndarray) -> np.ndarray:
    """a and b, neither negative, by least squares over batches: sums of their work's products with itself and with the
    seconds it took."""
    particles, pixels = seen[0, 0], seen[0, 1]
    share = pixels / particles
    guess = np.array([1.0, -share]) * (UNKNOWN * particles) ** 0.5  # a = b × the mean share
    found = np.linalg.solve(seen + np.outer(guess, guess), worked)
    if found[1] < 0:
        return np.array([worked[0] / particles, 0.0])
    if found[0] < 0:
        return np.array([0.0, worked[1] / seen[1, 1]])
    return found


def _share(phase: Phase, progress: float) -> float:
    if phase.band_limit is None:
        return 1.0
    return (phase.band_limit(progress) / phase.band_limit(1.0)) ** 2
