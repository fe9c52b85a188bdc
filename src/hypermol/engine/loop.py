"""The one loop. Every method runs through it; it knows phases, contributions and updates, nothing of cryo-EM."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Generator
from typing import Any

import torch
from torch import Tensor

from hypermol.engine import guard
from hypermol.engine.contracts import Phase, Program, Source, Store
from hypermol.engine.draws import Draws
from hypermol.engine.info import PassInfo, event
from hypermol.engine.processes import Processes
from hypermol.engine.progress import Forecast
from hypermol.engine.state import Clock, State
from hypermol.engine.totals import BatchTotals, Pending
from hypermol.errors import ConvergenceError, DataError, HypermolError

PARTICLE = "particle index"  # travels with the rows
PROGRESS_SECONDS = 0.25  # between two progress reports: each waits for the GPU


class InterruptedRun(HypermolError):
    """The job was asked to stop. Its state is saved, or was at the last checkpoint where a whole-pass update waits."""


@dataclasses.dataclass
class Loop:
    """A job: a program, its particles, and where its state is kept.

    ``microbatch``: particles per contribution (fixed, never taken from the memory at hand).
    ``checkpoint_seconds``: a checkpoint is due so long after the last one, at the next update or end of a pass.
    ``report(event)`` is called often with plain rows; ``asked_to_stop()`` is looked at after each batch.
    """

    program: Program
    source: Source
    store: Store
    seed: int
    device: torch.device = dataclasses.field(default_factory=lambda: torch.device("cpu"))
    processes: Processes = dataclasses.field(default_factory=Processes)
    microbatch: int = 1 << 30
    checkpoint_seconds: float = 60.0
    report: Callable[[dict[str, Any]], None] = lambda event: None
    asked_to_stop: Callable[[], bool] = lambda: False

    def run(self) -> State:
        """Begin or continue, and return the final state.

        Raises DataError where there are no particles, ConvergenceError when no further update is possible,
        InterruptedRun when asked to stop, OSError when a checkpoint cannot be written. After the last three, and when
        killed, running again continues from the last saved state.
        """
        phases = self.program.phases
        if self.source.count == 0:
            raise DataError("there are no particles to work on")
        state = (self.store.latest() or self.program.initialise()).to(self.device)
        if self.processes.first:
            self.store.rewind()
        self.processes.barrier()
        self._saved_at, self._reported_at, self._stop, self._due = time.monotonic(), -1e9, False, False
        self._forecast = Forecast(phases, self.source.count)
        while state.clock.phase < len(phases):
            phase = phases[state.clock.phase]
            state = _entered(phase, state)
            if not _exhausted(phase, state):
                state = self._pass(phase, state)
            if _exhausted(phase, state) or (phase.converged is not None and phase.converged(state)):
                state.clock.begin_phase()
                guard.forget(state)
            self._between_updates(state, None, last=state.clock.phase == len(phases))
        return state

    def _pass(self, phase: Phase, state: State) -> State:
        """One pass over the particles, from the batch that the clock names."""
        info = PassInfo.continued(state.data.pop("pass", None), self.processes)
        began, pending = state.clock.copy(), Pending(state.clock.copy())
        last = -(-self.source.count // phase.batch_size) - 1
        with contextlib.closing(self._batches(phase, state)) as batches:
            for number, group, batch in batches:
                total_size, images = len(group), self.source.image_count(group)
                progress = state.clock.progress = (state.clock.pass_index + number / (last + 1)) / phase.passes
                if phase.band_limit is not None:
                    batch = batch.limit(phase.band_limit(progress))
                draws = self._draws(state, number, total_size)
                self._contribute(phase, state, batch, draws, pending, info, images)
                state.clock.batch, state.clock.images = number + 1, state.clock.images + total_size
                over = number == last or _seen_enough(phase, state)
                due = over or (phase.apply_every is not None and (number + 1) % phase.apply_every == 0)
                if due:
                    state = self._apply(phase, state, pending, info)
                    pending = Pending(state.clock.copy())
                self._forecast.advance(state.clock, total_size, progress)
                self._report_progress(phase, state, info)
                if over:
                    break
                self._between_updates(state, info, whole=due)
        if info.count == 0:
            self._save(dataclasses.replace(state, clock=began), None)
            raise ConvergenceError(
                "not one batch of a whole pass was usable; look the images over with `hypermol check`"
            )
        self._tell(self._event("pass", phase, state, info.collected(self.processes, self.device)))
        state.clock.begin_pass()
        return state

    def _batches(self, phase: Phase, state: State) -> Generator[tuple[int, Tensor, Any]]:
        """From the batch that the clock names: its number, the particles of all processes, this process's share."""
        order = self.source.pass_order(self.seed, state.clock.total_passes, phase.shuffle)
        groups = list(order.split(phase.batch_size))
        wanted = range(state.clock.batch, len(groups))
        stream = self.source.stream(groups[i][slice(*self.processes.share(len(groups[i])))] for i in wanted)
        try:
            for number, batch in zip(wanted, stream):
                yield number, groups[number], batch
        finally:  # a source that reads ahead in the background is told at once that no more is wanted
            getattr(stream, "close", lambda: None)()

    def _draws(self, state: State, number: int, total: int) -> Draws:
        start, stop = self.processes.share(total)
        key = (state.clock.phase, state.clock.pass_index, number)
        return Draws(self.seed, key, total, start, stop, self.device)

    def _contribute(
        self, phase: Phase, state: State, batch: Any, draws: Draws, pending: Pending, info: PassInfo, images: int
    ) -> None:
        """Add one global batch to the totals and the table; skip it whole where any number is not finite."""
        step, count, new = phase.step_of(state.clock.updates), len(batch.particle), BatchTotals()
        for a in range(0, count, self.microbatch):
            b = min(a + self.microbatch, count)
            whole = a == 0 and b == count
            part = batch if whole else batch.slice(a, b)
            new.add(step.contribute(state, part, draws if whole else draws.part(a, b)))
        due = time.monotonic() - self._saved_at >= self.checkpoint_seconds
        bad, self._stop, self._due = self.processes.any(not new.finite, self.asked_to_stop(), due)
        if bad:
            good = pending.since if pending.usable == 0 else None
            self._skip(state, "a number in it is NaN or infinite", info, good)
            return
        partial = draws.total < self.processes.world
        pending.add(new, partial)
        info.add(new.parts, count, draws.total, images, partial)
        if step.norm is None:
            guard.count_success(state)
        self._scatter(state, batch.particle, new.rows(), draws.total)

    def _scatter(self, state: State, particle: Tensor, rows: dict[str, Tensor], total: int) -> None:
        """Write rows into the table, which every process holds whole."""
        if total < self.processes.world:
            self.processes.complete(rows, self.device, empty=True)
        if not rows:
            return
        rows = self.processes.gather_rows({**rows, PARTICLE: particle.to(self.device)}, total)
        particle = rows.pop(PARTICLE)
        for name, whole in rows.items():
            if name not in state.table:
                empty = (self.source.count, *whole.shape[1:])
                state.table[name] = torch.zeros(empty, dtype=whole.dtype, device=self.device)
            state.table[name][particle] = whole

    def _apply(self, phase: Phase, state: State, pending: Pending, info: PassInfo) -> State:
        if pending.usable == 0:
            return state
        step, totals = phase.step_of(state.clock.updates), pending.totals
        if pending.partial:
            self.processes.complete(totals, self.device)
        self.processes.sum_all(totals)
        reason = guard.reason_to_skip(step, totals, state, phase.place_of(state.clock.updates))
        if reason is not None:
            self._skip(state, reason, info, state.clock)
            return state
        clock, data, table = state.clock, state.data, state.table
        state = step.apply(state, totals)
        state.clock, state.data, state.table = clock, {**data, **state.data}, {**table, **state.table}
        state.clock.updates += 1
        guard.count_success(state)
        return state

    def _skip(self, state: State, reason: str, info: PassInfo, good: Clock | None) -> None:
        """Report and count. ``good``: the moment at which this state was whole, saved if this ends the run."""
        clock, phase = state.clock, self.program.phases[state.clock.phase]
        row = {"event": "skipped", "phase": phase.name, "pass": clock.pass_index, "batch": clock.batch}
        self._tell({**row, "reason": reason})
        try:
            guard.count_skip(state)
        except ConvergenceError:
            if good is not None:
                self._save(dataclasses.replace(state, clock=good), info)
            raise

    def _between_updates(self, state: State, info: PassInfo | None, whole: bool = True, last: bool = False) -> None:
        """Save when that is due, stop when asked. ``whole``: no totals wait to be applied."""
        if whole and (self._stop or self._due or last):
            self._save(state, info)
        if self._stop and not last:
            raise InterruptedRun("the run was asked to stop; continue it with --resume")

    def _save(self, state: State, info: PassInfo | None) -> None:
        guard.require_finite(state)
        inside = {} if info is None else {"pass": info.collected(self.processes, self.device)}
        if self.processes.first:
            self.store.save(dataclasses.replace(state, data={**state.data, **inside}))
        self.processes.barrier()
        self._saved_at, self._due = time.monotonic(), False

    def _tell(self, row: dict[str, Any]) -> None:
        if self.processes.first:
            self.store.log(row)
            self.report(row)

    def _report_progress(self, phase: Phase, state: State, info: PassInfo) -> None:
        if self.processes.first and time.monotonic() - self._reported_at >= PROGRESS_SECONDS:
            self._reported_at = time.monotonic()
            self.report(self._event("progress", phase, state, info.own()))

    def _event(self, kind: str, phase: Phase, state: State, collected: dict[str, Any]) -> dict[str, Any]:
        row = event(kind, phase, state.clock, state.data.get("skipped", 0), collected)
        return {**row, "fraction": self._forecast.fraction, "seconds_left": self._forecast.seconds_left}


def _entered(phase: Phase, state: State) -> State:
    if state.clock.entered:
        return state
    clock = state.clock
    device = next(iter(state.tensors.values())).device if state.tensors else None
    state = phase.enter(state)
    state = state if device is None else state.to(device)  # what a phase begins with may be made on the host
    state.clock, clock.entered = clock, True
    return state


def _seen_enough(phase: Phase, state: State) -> bool:
    return phase.images is not None and state.clock.images >= phase.images


def _exhausted(phase: Phase, state: State) -> bool:
    """Whether the phase has had its passes or its particles."""
    return state.clock.pass_index >= phase.passes or _seen_enough(phase, state)
