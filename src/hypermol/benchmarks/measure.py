"""What a program costs, from its start to its end: wall and processor time, peak memory.

Linux counts the memory of the process that starts a program as the program's own until it has been replaced, so that a
small process of its own starts and waits for it: a reader with a large map in memory would else be measured instead.
A program has a process group of its own, so that nothing that it started outlives it, and it does not outlive a
measurement that was killed.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hypermol.errors import ConfigError, HypermolError
from hypermol.runs import Run, write_text

LAUNCHER = """
import json, os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
asked_by, log, seconds, command = int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4:]
began = time.monotonic()
with open(log, "ab") as stream:
    process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True)
    found, stopped = 0, False
    try:
        while not found:
            time.sleep(0.02)
            if os.getppid() != asked_by:
                sys.exit(143)
            if seconds and time.monotonic() - began > seconds:
                os.killpg(process.pid, signal.SIGKILL)
                stopped = True
            found, status, usage = os.wait4(process.pid, 0 if stopped else os.WNOHANG)
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)  # whatever it has left running
        except ProcessLookupError:
            pass
print(json.dumps({
    "wall": time.monotonic() - began,
    "cpu": usage.ru_utime + usage.ru_stime,
    "peak_mib": usage.ru_maxrss / 1024,
    "exit_status": os.waitstatus_to_exitcode(status),
    "stopped": stopped,
}))
"""
TAIL = 1500


@dataclasses.dataclass(frozen=True)
class Cost:
    """wall and cpu: seconds, start-up and compilation counted; peak_mib: largest resident size of one process (MiB).
    Costs add up: times as sums, memory as the larger."""

    wall: float = 0.0
    cpu: float = 0.0
    peak_mib: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.wall + other.wall, self.cpu + other.cpu, max(self.peak_mib, other.peak_mib))

    def row(self) -> dict[str, float]:
        """As result files have it."""
        return {
            "wall_seconds": round(self.wall, 1),
            "cpu_seconds": round(self.cpu, 1),
            "peak_memory_mib": round(self.peak_mib),
        }


class ProgramFailed(HypermolError):
    """A program that was measured ended with an error. ``cost``: what it took until then."""

    def __init__(self, message: str, cost: Cost) -> None:
        super().__init__(message)
        self.cost = cost


def measured(
    command: Sequence[str | Path],
    log: Path,
    environment: Mapping[str, str] | None = None,
    limit_seconds: float = 0.0,
    folder: Path | None = None,
) -> Cost:
    """Run a program to its end, its output added to ``log``; 0: no limit of time; folder: where it runs.

    Raises ProgramFailed with the end of its output, and with what it cost, when it fails or takes too long.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(os.getpid()), str(log.resolve()), str(limit_seconds)]
    words = [str(part) for part in command]
    told = {**os.environ, **(environment or {})}
    with subprocess.Popen(
        [*launcher, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=told, cwd=folder
    ) as process:
        try:
            out, complaint = process.communicate()
        except BaseException:
            process.terminate()  # which ends the program as well
            raise
    if process.returncode != 0:
        raise ConfigError(f"{words[0]} cannot be run: {complaint.strip().splitlines()[-1:]}")
    found = json.loads(out)
    cost = Cost(found["wall"], found["cpu"], found["peak_mib"])
    if found["stopped"]:
        raise ProgramFailed(f"{words[0]} was stopped after its {limit_seconds:g} s; see {log}", cost)
    if found["exit_status"] != 0:
        said = log.read_text(errors="replace")[-TAIL:].strip()
        raise ProgramFailed(f"{words[0]} failed ({found['exit_status']}); see {log}:\n{said}", cost)
    return cost


def hypermol(
    arguments: Sequence[str | Path],
    log: Path,
    limit_seconds: float = 0.0,
    environment: Mapping[str, str] | None = None,
) -> Cost:
    """``measured`` of this package's own command line, by the same Python."""
    return measured([sys.executable, "-m", "hypermol", *arguments], log, environment, limit_seconds)


def trained(run: Path, star: Path, words: Sequence[str], device: str = "auto") -> Cost:
    """What the training of ``run`` costs, by ``words`` (see ``method_words``). It begins, or goes on where an earlier
    call was stopped: the cost is then that of the rest. Of one that has ended, the cost was kept beside it."""
    kept, log = run.with_name(f"{run.name}.cost.json"), run.with_name(f"{run.name}.log")
    begun = (run / "config.toml").exists()
    if begun and Run.open(run).finished:
        return Cost(**json.loads(kept.read_text())) if kept.exists() else Cost()
    command: list[str | Path] = ["train", "--resume", run] if begun else ["train", star, "-o", run, *words]
    cost = hypermol([*command, "--device", device], log)
    write_text(kept, json.dumps(dataclasses.asdict(cost)))
    return cost


def method_words(method: str, seed: int) -> list[str]:
    """NAME or NAME:key=value,key=value as the words of `hypermol train` that choose it."""
    called, _, given = method.partition(":")
    settings = [f"seed={seed}", *(setting for setting in given.split(",") if setting)]
    return ["-m", called, *(part for setting in settings for part in ("--set", setting))]


def simulated(
    recipe: str, data: Path, count: int, box: int, snr: float, seed: int, settings: Sequence[str] = ()
) -> Path:
    """The data set in ``data``, made by `hypermol simulate` unless it is there; its log lies beside it."""
    if not (data / "truth.npz").exists():
        size = ["-n", str(count), "--box", str(box), "--snr", str(snr), "--seed", str(seed)]
        size += [part for setting in settings for part in ("--set", setting)]
        hypermol(["simulate", recipe, "-o", data, *size], data.with_suffix(".log"))
    return data


def free_folder(folder: Path) -> Path:
    """A folder name that is not taken: what an earlier or interrupted job left stays where it is."""
    tried, number = folder, 0
    while tried.exists():
        number += 1
        tried = folder.with_name(f"{folder.name}-again{number}")
    return tried
