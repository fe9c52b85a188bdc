"""What a person sees of a running job, on a terminal and elsewhere."""

import io

import pytest

from hypermol.cli.options import memory_bytes
from hypermol.cli.progress import Display, Reporter, Steps, conducted, duration
from hypermol.cli.say import say, wrapped
from hypermol.shell import quoted

EVENT = {
    "event": "progress",
    "phase": "train",
    "pass": 2,
    "passes": 20,
    "loss": 281.234,
    "divergence": 1.5,
    "images_per_second": 1234.5,
    "skipped": 0,
    "fraction": 0.125,
    "seconds_left": 75.2,
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_job_is_conducted_with_what_the_command_was_given() -> None:
    assert conducted(lambda conduct: (conduct.device, conduct.memory_limit), "cpu", memory_bytes(1.5), str) == (
        "cpu",
        3 * 2**29,
    )
    assert memory_bytes(None) is None


def test_errors_of_a_job_may_say_how_to_go_on() -> None:
    def fail(conduct: object) -> None:
        raise ValueError("stopped")

    with pytest.raises(KeyError, match="go on") as found:
        conducted(fail, "cpu", None, lambda error: KeyError(f"{error}; go on"))
    assert isinstance(found.value.__cause__, ValueError)
    with pytest.raises(ValueError, match="stopped") as found:
        conducted(fail, "cpu", None, lambda error: error)
    assert found.value.__cause__ is None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("seconds", "words"), [(-1, "0 s"), (9.6, "10 s"), (75, "1 min 15 s"), (3600 * 26 + 300, "26 h 05 min")]
)
def test_duration(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_bar_on_a_terminal_never_leaves_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    stream = Terminal()
    reporter = Reporter(Display(stream))
    reporter(EVENT)
    drawn = stream.getvalue()
    assert drawn.startswith("\r\x1b[K")
    assert len(drawn.removeprefix("\r\x1b[K")) < 60
    assert "train 3/20 · 12 % done, 1 min 15 s left" in drawn
    reporter({**EVENT, "event": "pass"})
    assert stream.getvalue().endswith("1234 images/s\n")  # the line that stays is whole
    assert stream.getvalue().count("\n") >= 1


def test_plain_lines_elsewhere(clock: list[float]) -> None:
    stream = io.StringIO()
    reporter = Reporter(Display(stream))
    for number in range(100):
        clock[0] += 1.0
        reporter({**EVENT, "loss": 300.0 - number})
    lines = stream.getvalue().splitlines()
    assert 5 <= len(lines) <= 7  # one in 15 seconds
    assert "\r" not in stream.getvalue()
    assert lines[0] == "train 3/20 · 12 % done, 1 min 15 s left · loss 285 · KL 1.50 nats · 1234 images/s"


def test_the_end_of_a_pass_is_said_once(clock: list[float]) -> None:
    """Where a batch takes longer than the time between two lines, its end and that of the pass come one upon the
    other with the same words."""
    stream = io.StringIO()
    reporter = Reporter(Display(stream))
    for event in ("progress", "pass", "progress"):
        clock[0] += 20
        reporter({**EVENT, "event": event})
    clock[0] += 20
    reporter({**EVENT, "fraction": 0.25})
    assert [line[:19] for line in stream.getvalue().splitlines()] == ["train 3/20 · 12 % d", "train 3/20 · 25 % d"]


def test_notes_and_skipped_batches_are_lines(clock: list[float]) -> None:
    stream = io.StringIO()
    reporter = Reporter(Display(stream))
    reporter({"event": "note", "text": "bright particles"})
    reporter({"event": "skipped", "batch": 4, "reason": "a number in it is NaN or infinite"})
    assert stream.getvalue() == "bright particles\nskipped batch 4: a number in it is NaN or infinite\n"


def test_steps_speak_only_after_two_seconds(clock: list[float]) -> None:
    stream = Terminal()
    steps = Steps("reading images", Display(stream))
    clock[0] += 1
    steps(10, 100)
    assert stream.getvalue() == ""
    clock[0] += 9
    steps(50, 100)
    assert stream.getvalue().endswith("reading images 50 of 100, 10 s left")
    steps(100, 100)
    assert stream.getvalue().endswith("\r\x1b[K")


def test_words_are_wrapped_on_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    path = "/a/very-long/path-that-must/not-be/broken/particles.star"
    text = f"{path}: expected a particle file (.star, .cs or .mrcs), found nothing\n"
    text += "  - and an item of a list that is longer than one line"
    assert wrapped(text, io.StringIO()) == text
    lines = wrapped(text, Terminal()).split("\n")
    assert lines[0].strip() == f"{path}:"
    assert all(len(line) < 50 for line in lines[1:])
    assert lines[-1].startswith("    ")  # hanging indent


@pytest.mark.parametrize("path", ["/data/my project/cryo em run", "/data/a-long-name-of-a-project/cryo-em-run"])
def test_commands_can_be_pasted_from_a_terminal(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    command = f"hypermol train --resume {quoted(path)}"
    for text in (f"stopped as asked; continue with: {command}", f"it has not finished; continue it with `{command}`"):
        assert command in wrapped(text, Terminal())
    assert wrapped(f"next: {command}; {command}", Terminal()).count(command) == 2
    assert quoted(path) in wrapped(f"{quoted(path)}: no such file, and some words more to fill the line", Terminal())


def test_only_the_first_process_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setenv("RANK", "1")
    say("twice", stream)
    monkeypatch.setenv("RANK", "0")
    say("once", stream)
    assert stream.getvalue() == "once\n"
