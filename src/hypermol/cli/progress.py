"""What a person sees while a job runs: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

EVERY_SECONDS = 15.0


class Reporter:
    """Prints the engine's events. ``seconds_left`` is shown with every line."""

    def __init__(self, stream: Any = None) -> None:
        self._stream = stream or sys.stdout
        self._terminal = self._stream.isatty()
        self._last = time.monotonic()

    def __call__(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "note":
            self._line(event["text"])
        elif kind == "skipped":
            self._line(f"skipped batch {event['batch']}: {event['reason']}")
        elif kind == "pass":
            self._line(_progress_line(event, done=True))
        elif self._terminal:
            self._stream.write("\r\x1b[K" + _bar(event["fraction"]) + " " + _progress_line(event))
            self._stream.flush()
        elif time.monotonic() - self._last > EVERY_SECONDS:
            self._line(_progress_line(event))

    def _line(self, text: str) -> None:
        self._last = time.monotonic()
        start = "\r\x1b[K" if self._terminal else ""
        print(start + text, file=self._stream, flush=True)


def _progress_line(event: dict[str, Any], done: bool = False) -> str:
    parts = [f"{event['phase']} {event['pass'] + 1}/{event['passes']}"]
    if "loss" in event:
        parts.append(f"loss {event['loss']:.4g}")
    if "divergence" in event:
        parts.append(f"KL {event['divergence']:.2f} nats")
    parts.append(f"{event['images_per_second']:.0f} images/s")
    if event["skipped"]:
        parts.append(f"{event['skipped']} updates skipped")
    if event["seconds_left"] is not None:
        parts.append(f"{100 * event['fraction']:.0f} % done, {duration(event['seconds_left'])} left")
    return (" " if not done else "") + " · ".join(parts)


def _bar(fraction: float, width: int = 24) -> str:
    full = round(fraction * width)
    return "█" * full + "░" * (width - full)


def duration(seconds: float) -> str:
    """``75`` → ``1 min 15 s``."""
    seconds = max(0, round(seconds))
    hours, minutes = seconds // 3600, seconds // 60 % 60
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {seconds % 60:02d} s" if minutes else f"{seconds} s"


@contextmanager
def stop_requests() -> Iterator[Any]:
    """Within, Ctrl-C and SIGTERM ask for a clean stop; the yielded callable says whether one was asked for.

    A second Ctrl-C interrupts at once.
    """
    asked: list[int] = []

    def handler(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        print("\nstopping after this update, and saving …", file=sys.stderr, flush=True)

    previous = {s: signal.signal(s, handler) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, action in previous.items():
            signal.signal(number, action)
