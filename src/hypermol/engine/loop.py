"""The one loop. Every method runs through it; it knows phases, contributions and updates, nothing of cryo-EM."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from hypermol.engine import guard
from hypermol.engine.contracts import Contribution, Deposit, Phase, Program, Source, Step, Store, Totals
from hypermol.engine.draws import Draws
from hypermol.engine.processes import Processes
from hypermol.engine.progress import Forecast
from hypermol.engine.state import State
from hypermol.errors import ConvergenceError, HypermolError


class InterruptedRun(HypermolError):
    """The job was asked to stop; its state has been saved."""


@dataclasses.dataclass
class Loop:
    """A job: a program, its particles, and where its state is kept.

    ``microbatch``: particles per contribution (fixed, never taken from the memory at hand).
    ``report(event)`` is called often with plain rows; ``asked_to_stop()`` is looked at after each update.
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

        Raises ConvergenceError when no further update is possible, InterruptedRun when asked to stop; in both
        cases, and when killed, running again continues from the last saved state.
        """
        state = (self.store.latest() or self.program.initialise()).to(self.device)
        if self.processes.first:
            self.store.rewind()
        self.processes.barrier()
        self._saved_at = time.monotonic()
        self._forecast = Forecast(self.program.phases, self.source.count)
        while state.clock.phase < len(self.program.phases):
            state = self._phase(self.program.phases[state.clock.phase], state)
            clock = state.clock
            clock.phase, clock.pass_index, clock.batch, clock.updates, clock.entered = (
                clock.phase + 1,
                0,
                0,
                0,
                False,
            )
            self._save(state)
        return state

    def _phase(self, phase: Phase, state: State) -> State:
        if not state.clock.entered:
            state = phase.enter(state)
            state.clock.entered = True
        while state.clock.pass_index < phase.passes:
            state, over = self._pass(phase, state)
            state.clock.pass_index += 1
            state.clock.total_passes += 1
            state.clock.batch = 0
            self._save(state)
            if over or (phase.converged is not None and phase.converged(state)):
                break
        return state

    def _pass(self, phase: Phase, state: State) -> tuple[State, bool]:
        """One pass over the particles, from the batch that the clock names; and whether the phase is over."""
        began, info = time.monotonic(), PassInfo()
        totals: Totals = {}
        pending = 0
        batches = self._batches(phase, state)
        last, over = -(-self.source.count // phase.batch_size) - 1, False
        for number, total_size, batch in batches:
            progress = (state.clock.pass_index + number / (last + 1)) / phase.passes
            if phase.band_limit is not None:
                batch = batch.limit(phase.band_limit(progress))
            step = phase.step_of(state.clock.updates)
            draws = self._draws(state, number, total_size)
            if self._contribute(step, state, batch, draws, totals, info):
                pending += 1
            state.clock.batch, state.clock.images = number + 1, state.clock.images + total_size
            over = phase.images is not None and state.clock.images >= phase.images
            due = phase.apply_every is not None and (number + 1) % phase.apply_every == 0
            if due or over or number == last:
                state = self._apply(step, state, totals, pending, total_size)
                totals, pending = {}, 0
            self._forecast.advance(state.clock, total_size, progress)
            self.report(self._event("progress", phase, state, info, began))
            if over or number == last:
                break
            if due:
                self._between_updates(state)
        if info.count == 0 and self.processes.first:
            raise ConvergenceError(
                "not one batch of a whole pass was usable; look the images over with `hypermol check`"
            )
        self._log_pass(phase, state, info, began)
        return state, over

    def _batches(self, phase: Phase, state: State) -> Iterator[tuple[int, int, Any]]:
        order = self.source.pass_order(self.seed, state.clock.total_passes, phase.shuffle)
        groups = list(order.split(phase.batch_size))
        wanted = range(state.clock.batch, len(groups))
        shares = (groups[i][slice(*self.processes.share(len(groups[i])))] for i in wanted)
        for number, batch in zip(wanted, self.source.stream(shares)):
            yield number, len(groups[number]), batch

    def _draws(self, state: State, number: int, total: int) -> Draws:
        start, stop = self.processes.share(total)
        key = (state.clock.phase, state.clock.pass_index, number)
        return Draws(self.seed, key, total, start, stop, self.device)

    def _contribute(self, step: Step, state: State, batch: Any, draws: Draws, totals: Totals, info: PassInfo) -> bool:
        """Add one global batch to the totals and the table. False where it was not finite and was skipped."""
        count = len(batch.particle)
        starts = range(0, count, self.microbatch)
        parts = []
        for a in starts:
            b = min(a + self.microbatch, count)
            whole = a == 0 and b == count
            part = batch if whole else batch.slice(a, b)
            parts.append(step.contribute(state, part, draws if whole else draws.part(a, b)))
        if not self.processes.all(all(part.finite() for part in parts)):
            self._skip(state, "a number in it is NaN or infinite")
            return False
        for part in parts:
            for name, value in part.totals.items():
                totals[name] = _added(totals.get(name), value)
            info.add(part)
        info.count += count
        if step.norm is None:
            guard.count_success(state)
        self._scatter(state, batch, parts, draws.total)
        return True

    def _scatter(self, state: State, batch: Any, parts: list[Contribution], total: int) -> None:
        rows = {
            name: torch.cat([part.rows[name].detach() for part in parts]) for name in (parts[0].rows if parts else ())
        }
        if total < self.processes.world:
            self.processes.complete(rows, self.device, empty=True)
        if not rows:
            return
        particle = self.processes.gather_rows(batch.particle.to(self.device), total)
        for name in sorted(rows):
            whole = self.processes.gather_rows(rows[name], total)
            if name not in state.table:
                empty = (self.source.count, *whole.shape[1:])
                state.table[name] = torch.zeros(empty, dtype=whole.dtype, device=self.device)
            state.table[name][particle] = whole

    def _apply(self, step: Step, state: State, totals: Totals, pending: int, total_size: int) -> State:
        if pending == 0:
            return state
        if total_size < self.processes.world:
            self.processes.complete(totals, self.device)
        for name in sorted(totals):
            self.processes.sum(totals[name])
        reason = guard.reason_to_skip(step, totals, state)
        if reason is not None:
            self._skip(state, reason)
            return state
        clock, data, table = state.clock, state.data, state.table
        state = step.apply(state, totals)
        state.clock, state.data, state.table = clock, {**data, **state.data}, {**table, **state.table}
        state.clock.updates += 1
        guard.count_success(state)
        return state

    def _skip(self, state: State, reason: str) -> None:
        clock = state.clock
        row = {"event": "skipped", "phase": clock.phase, "pass": clock.pass_index, "batch": clock.batch}
        self._log({**row, "reason": reason})
        self.report({**row, "reason": reason})
        try:
            guard.count_skip(state)
        except HypermolError:
            self._save(state)
            raise

    def _between_updates(self, state: State) -> None:
        stop = not self.processes.all(not self.asked_to_stop())
        due = time.monotonic() - self._saved_at > self.checkpoint_seconds
        if stop or not self.processes.all(not due):
            self._save(state)
        if stop:
            raise InterruptedRun("the run was asked to stop; its state is saved: continue it with --resume")

    def _save(self, state: State) -> None:
        guard.require_finite(state)
        if self.processes.first:
            self.store.save(state)
        self.processes.barrier()
        self._saved_at = time.monotonic()

    def _log(self, row: dict[str, Any]) -> None:
        if self.processes.first:
            self.store.log(row)

    def _log_pass(self, phase: Phase, state: State, info: PassInfo, began: float) -> None:
        event = self._event("pass", phase, state, info, began)
        self._log(event)
        self.report(event)

    def _event(self, kind: str, phase: Phase, state: State, info: PassInfo, began: float) -> dict[str, Any]:
        seconds = time.monotonic() - began
        rate = info.count * self.processes.world / max(seconds, 1e-9)
        return {
            "event": kind,
            "phase": phase.name,
            "pass": state.clock.pass_index,
            "passes": phase.passes,
            "images": state.clock.images,
            "updates": state.clock.updates,
            "skipped": state.data.get("skipped", 0),
            "seconds": round(seconds, 3),
            "images_per_second": round(rate, 2),
            "fraction": self._forecast.fraction,
            "seconds_left": self._forecast.seconds_left,
            **(info.means() if kind == "pass" or info.count else {}),
        }


@dataclasses.dataclass
class PassInfo:
    """Running sums of what a person wants to see; kept as tensors so that a GPU is never waited for."""

    sums: dict[str, Tensor | float] = dataclasses.field(default_factory=dict)
    count: int = 0

    def add(self, part: Contribution) -> None:
        """Add one contribution's info."""
        for name, value in part.info.items():
            self.sums[name] = self.sums.get(name, 0.0) + (value.detach() if isinstance(value, Tensor) else value)

    def means(self) -> dict[str, float]:
        """Mean per particle of each sum."""
        return {name: float(value) / max(self.count, 1) for name, value in self.sums.items()}


def _added(total: Tensor | None, value: Tensor | Deposit) -> Tensor:
    if isinstance(value, Deposit):
        return value.add_to(total)
    return value.detach().clone() if total is None else total.add_(value.detach())
