"""The program as a process: start-up, exit status, signals, a full disk."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commands import INTERNALS, NEURAL, TINY, done, refused, settings

from hypermol.runs import Run, checkpoints

LONG = ("epochs=25", "batch_size=8", "seed=1", *TINY)


def start(*arguments: object, before: Callable[[], None] | None = None) -> subprocess.Popen:
    """`python -m hypermol …` as a process of its own."""
    command = [sys.executable, "-m", "hypermol", *map(str, arguments)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
    )


def ended(process: subprocess.Popen) -> tuple[int, str]:
    """Exit status and standard error, in which nothing of Python may show."""
    _, said = process.communicate(timeout=120)
    assert not INTERNALS.search(said), said
    return process.returncode, said


def test_starting_up_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from hypermol.cli import main; status = main(['--help']); "
        "print(sorted({'torch', 'numpy', 'pydantic', 'scipy', 'matplotlib'} & set(sys.modules)), file=sys.stderr); "
        "sys.exit(status)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0
    assert "torch" not in done.stderr
    assert done.stderr.strip() == "[]"
    # CPU time, not the clock: other jobs may share the machine. About 0.3 s; the promise is a second.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0


@pytest.mark.parametrize(("arguments", "status"), [(("--version",), 0), (("trian",), 2), (("train",), 2)])
def test_exit_status(arguments: tuple[str, ...], status: int) -> None:
    assert ended(start(*arguments))[0] == status


def test_output_into_a_pipe_that_closes() -> None:
    """`hypermol methods | head -1` is no failure that a user should hear of."""
    process = start("--help")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    assert ended(process)[1] == ""


@pytest.fixture(scope="module")
def straight(made: Path) -> Path:
    """A run that nothing happened to."""
    run = made.parent / "straight"
    done(*NEURAL, made / "particles.star", "-o", run, *settings(*LONG))
    return run


def test_stopped_filled_and_resumed(made: Path, straight: Path, tmp_path: Path) -> None:
    """A second job in the same folder, SIGTERM, then a disk that fills (a real limit on file sizes) while the next
    checkpoint is written, then on to the end: the same estimates as in a run that nothing happened to."""
    run = tmp_path / "run"
    process = start(*NEURAL, made / "particles.star", "-o", run, *settings(*LONG))
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("train 3/"):
            said = refused("train", "--resume", run)
            process.send_signal(signal.SIGTERM)
            break
    assert f"process {process.pid} on " in said
    assert "is working there already" in said
    status, said = ended(process)
    assert status == 1
    assert "stopping after this update" in said
    assert said.endswith(f"hypermol: stopped as asked; continue with: hypermol train --resume {run}\n")
    stopped = checkpoints.latest_data(run / "checkpoints")
    assert stopped is not None
    assert 3 <= stopped["clock"]["total_passes"] < 25

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    assert (run / "checkpoints").exists()
    assert max(path.stat().st_size for path in (run / "checkpoints").rglob("*.safetensors")) > 20_000
    status, said = ended(start("train", "--resume", run, before=small_files))
    assert status == 1
    assert "could not be written" in said
    assert f"Make room, then continue with: hypermol train --resume {run}" in said
    assert checkpoints.latest_data(run / "checkpoints") == stopped
    assert not list(run.rglob("*.part"))

    finished = done("train", "--resume", run)
    assert f"done in {finished.out.split('done in ')[1].split(':')[0]}: {run}" in finished.out
    ours, theirs = Run.open(run).estimates(), Run.open(straight).estimates()
    assert ours.keys() == theirs.keys()
    for name in theirs:
        np.testing.assert_array_equal(ours[name], theirs[name])


def test_stopped_while_the_images_are_read(tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked to stop before there is anything to save: no run folder is left."""
    from contextlib import contextmanager

    @contextmanager
    def at_once():
        yield lambda: True

    monkeypatch.setattr("hypermol.cli.progress.stop_requests", at_once)
    from commands import hypermol

    said = hypermol(*NEURAL, made / "particles.star", "-o", tmp_path / "run", *settings(*LONG))
    assert (said.status, said.err) == (1, "hypermol: stopped as asked; no run folder was made; begin again\n")
    assert not (tmp_path / "run").exists()


def heard() -> None:
    """Make a process notice an interrupt from the keyboard."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_interrupted_from_the_keyboard(made: Path, tmp_path: Path) -> None:
    job = ("simulate", "hinge", "-o", tmp_path / "data", "-n", 2_000_000, "--box", 32)
    process = start(*job, before=heard)  # a shell's background job starts with the keyboard's signal ignored
    deadline = time.monotonic() + 60
    while not list(tmp_path.iterdir()) and time.monotonic() < deadline:  # the folder in which it is made
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    status, said = ended(process)
    assert (status, said) == (1, "hypermol: stopped\n")
    assert not list(tmp_path.iterdir())


def test_resume_of_a_finished_run_changes_nothing(trained: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*") if path.is_file()}
    said = done("train", "--resume", trained)
    assert "already finished" in said.out
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*") if path.is_file()} == before


def test_resume_of_a_finished_run_says_its_figures(trained: Path, tmp_path: Path) -> None:
    run = Run.open(shutil.copytree(trained, tmp_path / "run"))
    run.save_metrics({"validation: z's uncertainty too small by": {"value": None, "unit": "×", "how": "images"}})
    run.save_metrics({"resolution_masked": {"value": None, "unit": "Å", "how": "FSC"}})
    said = done("train", "--resume", run.path)
    assert "validation: z's uncertainty too small by: no value (images)" in said.out
    assert "resolution masked: not reached (FSC)" in said.out


def test_resume_of_a_run_whose_particles_changed(data: Path) -> None:
    run, star = data / "run", data / "particles.star"
    done(*NEURAL, star, "-o", run, *settings("epochs=1", *TINY))
    log = run / "log.jsonl"
    log.write_text("\n".join(line for line in log.read_text().split("\n") if "finished" not in line))
    (data / "particles.mrcs").rename(data / "moved.mrcs")
    refused("train", "--resume", run, words=["particles.mrcs", "not found"])
    (data / "moved.mrcs").rename(data / "particles.mrcs")
    text = star.read_text()
    star.write_text(text + "\n# edited\n")
    for command in (("train", "--resume", run), ("select", run, "--particles", "0", "-o", data / "x.star")):
        refused(*command, words=[f"{star} has changed since", "begin a new run"])
    star.unlink()
    refused("train", "--resume", run, words=[f"{star}", "no longer there", "put the file back"])
    star.write_text(text)
    done("train", "--resume", run)
