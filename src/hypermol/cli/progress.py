"""What a person sees while a job runs: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from hypermol.cli.say import is_first, wrapped

if TYPE_CHECKING:
    from hypermol.methods import Conduct

T = TypeVar("T")

EVERY_SECONDS = 15.0
PATIENCE_SECONDS = 2.0


class Display:
    """One line at the bottom that is drawn again and again on a terminal; elsewhere a line every 15 seconds."""

    def __init__(self, stream: Any = None) -> None:
        self._stream = stream or sys.stdout
        self._terminal = self._stream.isatty()
        self._drawn = False
        self._last = time.monotonic()
        self._said = ""

    def line(self, text: str) -> None:
        """A line that stays; not the same line twice."""
        self.clear()
        self._last = time.monotonic()
        if text == self._said:
            return
        self._said = text
        print(wrapped(text, self._stream), file=self._stream, flush=True)

    def bar(self, fraction: float, text: str) -> None:
        """How far a job is."""
        if self._terminal:
            drawn = f"{_bar(fraction)} {text}"[: shutil.get_terminal_size().columns - 1]
            self._stream.write("\r\x1b[K" + drawn)
            self._stream.flush()
            self._drawn = True
        elif time.monotonic() - self._last > EVERY_SECONDS:
            self.line(text)

    def clear(self) -> None:
        """Take the bar away."""
        if self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._drawn = False


class Steps:
    """``steps(done, total)`` shows how far something is that takes more than two seconds, and the time left."""

    def __init__(self, text: str, display: Display | None = None) -> None:
        self.text, self._display = text, display or Display()
        self._began = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        seconds = time.monotonic() - self._began
        if done >= total:
            self._display.clear()
        elif seconds > PATIENCE_SECONDS and done and is_first():
            left = duration(seconds * (total - done) / done)
            self._display.bar(done / total, f"{self.text} {done} of {total}, {left} left")


class Reporter:
    """Prints the engine's events."""

    def __init__(self, display: Display | None = None) -> None:
        self.display = display or Display()
        self._steps: Steps | None = None

    def __call__(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "note":
            self.display.line(event["text"])
        elif kind == "step":
            self._step(event)
        elif kind == "skipped":
            self.display.line(f"skipped batch {event['batch']}: {event['reason']}")
        elif kind == "pass":
            self.display.line(_progress_line(event))
        else:
            self.display.bar(event["fraction"], _progress_line(event))

    def _step(self, event: dict[str, Any]) -> None:
        if self._steps is None or self._steps.text != event["text"]:
            self._steps = Steps(event["text"], self.display)
        self._steps(event["done"], event["total"])


def _progress_line(event: dict[str, Any]) -> str:
    """What matters most comes first: a narrow terminal cuts the end off."""
    parts = [f"{event['phase']} {event['pass'] + 1}/{event['passes']}"]
    if event["seconds_left"] is not None:
        left = f", {duration(event['seconds_left'])} left" if event["fraction"] < 1 else ""
        parts.append(f"{100 * event['fraction']:.0f} % done{left}")
    if "loss" in event:
        parts.append(f"loss {event['loss']:.4g}")
    if "divergence" in event:
        parts.append(f"KL {event['divergence']:.2f} nats")
    parts.append(f"{event['images_per_second']:.0f} images/s")
    if event["skipped"]:
        parts.append(f"{event['skipped']} updates skipped")
    return " · ".join(parts)


def _bar(fraction: float, width: int = 12) -> str:
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
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Within, Ctrl-C and SIGTERM ask for a clean stop; the yielded callable says whether one was asked for.

    The second one ends the program at once.
    """
    from hypermol.engine import stop_on_signals

    with stop_on_signals(heard=_say_stopping) as asked:
        yield asked


def conducted(
    job: Callable[[Conduct], T], device: str, memory_limit: int | None, hinted: Callable[[Exception], Exception]
) -> T:
    """What ``job`` returns, run with its progress shown and so that it can be stopped in good order. ``hinted`` may
    turn an error into one that says how to go on."""
    from hypermol.methods import Conduct

    reporter = Reporter()
    with stop_requests() as asked:
        try:
            return job(Conduct(device=device, memory_limit=memory_limit, report=reporter, asked_to_stop=asked))
        except Exception as error:
            better = hinted(error)
            if better is error:
                raise
            raise better from error
        finally:
            reporter.display.clear()


def _say_stopping() -> None:
    if is_first():  # written past Python's buffers, which a signal handler must not touch
        os.write(2, b"\nstopping after this update, and saving (once more: at once) ...\n")
