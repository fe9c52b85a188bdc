"""One job at a time in a run folder."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hypermol.errors import ConfigError
from hypermol.runs import occupied

HOLD = """
import sys
from pathlib import Path
from hypermol.runs import occupied

with occupied(Path(sys.argv[1])):
    print("held", flush=True)
    input()
"""


def holder(path: Path) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_job_is_told_who_works_there(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        said = f"process {process.pid} on .* is working there already"
        with pytest.raises(ConfigError, match=said), occupied(tmp_path):
            raise AssertionError("both were let in")
        with occupied(tmp_path, first=False):
            pass  # another process of the same job
        process.kill()
    with occupied(tmp_path):
        assert f"process {os.getpid()} " in (tmp_path / ".occupied").read_text()


def test_a_job_that_failed_frees_the_folder(tmp_path: Path) -> None:
    with pytest.raises(KeyError), occupied(tmp_path):
        raise KeyError
    with occupied(tmp_path), pytest.raises(ConfigError), occupied(tmp_path):
        pass
    with occupied(tmp_path):
        pass


def test_nobody_is_kept_out_where_files_cannot_be_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with occupied(tmp_path), occupied(tmp_path):
        pass
