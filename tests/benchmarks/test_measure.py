"""Programs that are measured: their cost, their limit, and that they end with who measures them."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from hypermol.benchmarks.measure import ProgramFailed, measured

SLEEPS = "import os, sys, time; print(os.getpid(), flush=True); time.sleep(float(sys.argv[1]))"


def sleeping(seconds: float) -> list[str]:
    return [sys.executable, "-c", SLEEPS, str(seconds)]


def pid_said(log: Path, patience: float = 20.0) -> int:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if log.exists() and log.read_text().endswith("\n"):
            return int(log.read_text())
        time.sleep(0.05)
    raise AssertionError("the program never began")


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_cost(tmp_path: Path) -> None:
    cost = measured(sleeping(0.3), tmp_path / "log")
    assert 0.3 <= cost.wall < 10
    assert 0 < cost.cpu < cost.wall
    assert 1 < cost.peak_mib < 200


def test_limit_of_time(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(ProgramFailed, match=r"stopped after its 0\.5 s") as failed:
        measured(sleeping(60), log, limit_seconds=0.5)
    assert 0.5 <= failed.value.cost.wall < 20
    assert not lives(pid_said(log))


def test_ends_with_a_measurement_that_was_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "import sys; from pathlib import Path; from hypermol.benchmarks.measure import measured; "
    code += "measured(sys.argv[2:], Path(sys.argv[1]))"
    measuring = subprocess.Popen([sys.executable, "-c", code, log, *sleeping(60)])
    try:
        pid = pid_said(log)
    finally:
        measuring.kill()
        measuring.wait()
    end = time.monotonic() + 10
    while lives(pid):
        assert time.monotonic() < end
        time.sleep(0.05)
