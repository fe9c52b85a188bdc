"""RECOVAR 1.0.5 by its own program, on a GPU or (--accept-cpu, slowly) without.

It reads our star file itself. Its z of 4 numbers and its mean map are scored everywhere; its maps at z (compute_state,
a kernel regression that takes minutes per map on a CPU) only where there is a GPU.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.benchmarks.answer import Answer
from hypermol.benchmarks.circumstances import ROOT
from hypermol.benchmarks.entrants.contract import Outcome
from hypermol.benchmarks.measure import measured
from hypermol.benchmarks.task import Task
from hypermol.errors import DataError
from hypermol.maps import read_map

Z = 4


@dataclass(frozen=True)
class Recovar:
    """`recovar pipeline` with a spherical mask."""

    name: str = "recovar"
    family: str = "recovar"
    ours: bool = False

    def version(self) -> str | None:
        """As its package says, or None where it is not installed."""
        return _version()

    def unfit(self, task: Task) -> str | None:
        """Where it is not installed, or lacks poses or CTF."""
        if _program() is None:
            return "is not installed; set HYPERMOL_RECOVAR to the bin folder of an environment that has it"
        if not task.given.pose:
            return "needs poses, which are hidden"
        if task.truth.ctf is None or not task.given.ctf:
            return "needs the CTF of each image"
        if len(task.truth.image_particle) != task.truth.count:
            return "takes one image per particle here"
        return None

    def settings(self, task: Task) -> dict[str, Any]:
        """All options but files."""
        return {"options": " ".join(_options()), "version": _version()}

    def run(self, task: Task, folder: Path, limit_seconds: float) -> Outcome:
        """The whole pipeline; then z and the mean map are read."""
        program, out = _program(), folder / "out"
        if program is None:
            raise DataError("RECOVAR has gone since the race began")
        command: list[str | Path] = [program, "pipeline", task.particles, "-o", out, "--datadir", task.data]
        cost = measured([*command, *_options()], folder / "log.txt", None, limit_seconds)
        file = _existing(out / "model" / f"zdim_{Z}" / "latent_coords.npy")  # in the order of the star file
        z = np.load(file, allow_pickle=False).astype(np.float64)
        mean = out / "output" / "volumes" / "mean.mrc"
        consensus = read_map(mean)[0] if mean.exists() else None
        maps = (lambda rows: _maps(program, out, folder, z[rows])) if torch.cuda.is_available() else None
        return Outcome(cost, Answer(z=z, maps=maps, consensus=consensus), {"z_dim": Z})


def _options() -> list[str]:
    shared = ["--mask", "sphere", "--no-downsample", "--zdim", str(Z), "--uninvert-data", "false", "--lazy"]
    return [*shared, *([] if torch.cuda.is_available() else ["--accept-cpu"])]


def _maps(program: Path, out: Path, folder: Path, z: np.ndarray) -> Iterator[Tensor]:
    np.savetxt(folder / "z.txt", z)
    states = folder / "states"
    measured([program, "compute_state", out, "-o", states, "--latent-points", folder / "z.txt"], folder / "maps.log")
    for number in range(len(z)):
        yield read_map(_existing(states / f"state{number:03d}.mrc"))[0]


def _existing(path: Path) -> Path:
    if not path.exists():
        raise DataError(f"{path}: expected a file of RECOVAR, found none")
    return path


def _program() -> Path | None:
    for folder in (os.environ.get("HYPERMOL_RECOVAR"), ROOT / ".peers" / "recovar" / "bin"):
        if folder and (Path(folder) / "recovar").exists():
            return Path(folder) / "recovar"
    return None


@cache
def _version() -> str | None:
    program = _program()
    if program is None:
        return None
    for path in sorted(program.parent.parent.glob("lib/python*/site-packages/recovar-*.dist-info")):
        return path.name.removeprefix("recovar-").removesuffix(".dist-info")
    return "unknown"


RECOVAR_ENTRANTS = (Recovar(),)
