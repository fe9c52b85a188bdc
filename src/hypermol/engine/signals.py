"""Stopping in good order: a job that is told to end (SLURM, Ctrl-C) saves its state first."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def stop_on_signals(*numbers: signal.Signals, heard: Callable[[], None] = lambda: None) -> Iterator[Callable[[], bool]]:
    """Gives ``asked_to_stop`` for a Loop: true once SIGTERM or SIGINT (or the given signals) came.

    ``heard`` is called when one comes, inside the signal handler. The second signal acts as it would have without
    this. Main thread only.
    """
    numbers = numbers or (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        heard()
        signal.signal(number, before[signal.Signals(number)])

    for number in numbers:
        signal.signal(number, note)
    try:
        yield lambda: bool(came)
    finally:
        for number in numbers:
            signal.signal(number, before[number])
