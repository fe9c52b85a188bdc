"""What a method hands to the loop: phases made of steps; a step contributes and applies.

``contribute(state, batch, draws)`` returns a Contribution: (i) additive totals, (ii) rows per particle,
(iii) info. The engine sums (i) over microbatches and processes, scatters (ii) into the particle table, and
logs (iii). ``apply(state, totals)`` makes the next state.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from hypermol.engine.draws import Draws
from hypermol.engine.state import Clock, State

Totals = dict[str, Tensor]


@runtime_checkable
class Deposit(Protocol):
    """A total that is cheaper to add in place than to form: an insertion into a large grid, say."""

    def finite(self) -> bool:
        """Whether it may be added at all."""

    def add_to(self, total: Tensor | None) -> Tensor:
        """Add into ``total`` (a new accumulator where None) and return it."""


@dataclasses.dataclass
class Contribution:
    """What one batch adds. ``info`` holds sums over the batch's particles; it is logged as means."""

    totals: dict[str, Tensor | Deposit] = dataclasses.field(default_factory=dict)
    rows: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    info: dict[str, Tensor | float] = dataclasses.field(default_factory=dict)

    def finite(self) -> bool:
        """False where any number in it is NaN or infinite. Waits for a GPU once."""
        values = (*self.totals.values(), *self.rows.values(), *self.info.values())
        tensors = [value for value in values if isinstance(value, Tensor)]
        plain = [value for value in values if isinstance(value, int | float)]
        # the rest alone is asked whether it is a Deposit: of a protocol that takes a tenth of a millisecond each
        rest = [value for value in values if not isinstance(value, Tensor | int | float)]
        deposits = [value for value in rest if isinstance(value, Deposit)]
        return all(map(math.isfinite, plain)) and all(d.finite() for d in deposits) and all_finite(tensors)


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether no number in any of the tensors is NaN or infinite; they are on one device, which is waited for once."""
    numbers = [torch.view_as_real(t.detach()) if t.is_complex() else t.detach() for t in tensors if t.numel()]
    floating = [t.float() if t.dtype is torch.float16 else t for t in numbers if t.is_floating_point()]
    if not floating:
        return True
    # the sum of absolute values: one reading of the memory, and on a GPU a few kernels for all tensors together
    return bool(torch.isfinite(torch.nn.utils.get_total_norm(floating, 1.0)))


def _unchanged(state: State, totals: Totals) -> State:
    return state


@dataclasses.dataclass(frozen=True)
class Step:
    """One kind of move. ``times``: how often in a row when a phase alternates between steps (a game).

    ``norm(totals)`` gives the size of the update; one that exceeds 100 × the running median is skipped.
    """

    contribute: Callable[[State, Any, Draws], Contribution]
    apply: Callable[[State, Totals], State] = _unchanged
    times: int = 1
    norm: Callable[[Totals], float | Tensor] | None = None


@dataclasses.dataclass(frozen=True)
class Phase:
    """Steps in turn until a stop rule holds: ``passes``, ``images`` (particles seen in all) or ``converged``.

    ``apply_every``: batches between two updates; None means once, at the end of each pass.
    ``usual_passes``: how many it takes if all goes well, where ``passes`` is a limit; for the time left alone.
    ``band_limit(progress)``: the shell up to which images are used, progress running from 0 to 1 over the passes.
    """

    name: str
    steps: tuple[Step, ...]
    passes: int
    batch_size: int
    apply_every: int | None = 1
    images: int | None = None
    converged: Callable[[State], bool] | None = None
    enter: Callable[[State], State] = lambda state: state
    band_limit: Callable[[float], int] | None = None
    shuffle: bool = True
    usual_passes: int | None = None

    @classmethod
    def whole(cls, name: str, step: Step, passes: int, batch_size: int, **rules: Any) -> Phase:
        """One update at the end of each pass, images in the order of the file: what closed forms need."""
        return cls(name, (step,), passes, batch_size, apply_every=None, shuffle=False, **rules)

    def place_of(self, updates: int) -> int:
        """Which of ``steps`` has its turn after ``updates`` updates."""
        turn = updates % sum(step.times for step in self.steps)
        for place, step in enumerate(self.steps):
            if turn < step.times:
                return place
            turn -= step.times
        raise IndexError(turn)

    def step_of(self, updates: int) -> Step:
        """The step whose turn it is after ``updates`` updates."""
        return self.steps[self.place_of(updates)]


@dataclasses.dataclass(frozen=True)
class Program:
    """A method made ready to run: how to begin, and the phases."""

    initialise: Callable[[], State]
    phases: tuple[Phase, ...]


class Source(Protocol):
    """Where batches come from."""

    @property
    def count(self) -> int:
        """Number of particles."""

    def image_count(self, particles: Tensor) -> int:
        """How many images some particles [B] have in all, from what is known on the host."""

    def pass_order(self, seed: int, pass_index: int, shuffle: bool) -> Tensor:
        """Particle indices of one pass, [count] int64: a pure function of its arguments."""

    def stream(self, groups: Iterable[Tensor]) -> Iterator[Any]:
        """One batch per group of particle indices, read ahead in the background."""


class Store(Protocol):
    """Where a job keeps its state and its log."""

    def save(self, state: State) -> None: ...

    def latest(self) -> State | None: ...

    def rewind(self) -> None: ...

    def log(self, row: dict[str, Any]) -> None: ...


__all__ = ["Clock", "Contribution", "Deposit", "Phase", "Program", "Source", "Step", "Store", "Totals"]
