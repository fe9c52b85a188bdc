"""Outside programs: found, run, timed. They live in environments of their own and are never imported."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from hypermol.benchmarks.circumstances import ROOT
from hypermol.errors import ConfigError, HypermolError


@dataclasses.dataclass(frozen=True)
class Timed:
    """wall and cpu in seconds; peak_mib: the largest resident size of the process; output: what it printed."""

    wall: float
    cpu: float
    peak_mib: float
    output: str


def find_cryodrgn() -> Path:
    """The folder with cryoDRGN's programs: $HYPERMOL_CRYODRGN, or .peers/cryodrgn/bin as `make peers` sets it up.

    Raises ConfigError where there is none.
    """
    for folder in (os.environ.get("HYPERMOL_CRYODRGN"), ROOT / ".peers" / "cryodrgn" / "bin"):
        if folder and (Path(folder) / "cryodrgn").exists():
            return Path(folder)
    raise ConfigError("cryoDRGN was not found; `make peers` installs it, or set HYPERMOL_CRYODRGN to its bin folder")


def run_timed(command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None) -> Timed:
    """Run a program to its end. Raises HypermolError with the end of its output when it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with log.open("w") as stream:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall, output = time.monotonic() - began, log.read_text()
    if process.returncode != 0:
        raise HypermolError(f"{command[0]} failed ({process.returncode}); see {log}:\n{output[-2000:]}")
    return Timed(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output)
