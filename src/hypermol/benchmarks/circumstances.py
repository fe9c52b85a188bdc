"""Under which circumstances a figure was measured: commit, hardware, versions. Every result file carries them."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hypermol.runs import write_text

PACKAGES = ("hypermol", "torch", "numpy", "scipy", "numba")
ROOT = Path(__file__).resolve().parents[3]


def circumstances() -> dict[str, Any]:
    """Plain data for the head of a result file."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--", "src")),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "gpu": gpu,
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def write_result(path: Path, content: dict[str, Any]) -> None:
    """Write a result file with the circumstances at its head."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({"circumstances": circumstances(), **content}, indent=1) + "\n")


def _git(*arguments: str) -> str:
    found = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    return found.stdout.strip()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    for line in path.read_text().splitlines() if path.exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def fill_rows(
    path: Path, command: str, jobs: Iterable[tuple[Mapping[str, Any], Callable[[], Mapping[str, Any]]]]
) -> None:
    """Run the jobs, (what names a row, what works out the rest of it), whose rows a result file does not have yet; it
    is written after each."""
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"] if path.exists() else []
    for name, job in jobs:
        if any(all(row.get(key) == value for key, value in name.items()) for row in rows):
            continue
        rows.append({**name, **job()})
        print(rows[-1], flush=True)
        write_result(path, {"command": command, "rows": rows})
    print(f"written: {path}")
