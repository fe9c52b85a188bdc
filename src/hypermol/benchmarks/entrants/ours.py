"""Our own methods, each by `hypermol train` in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypermol import __version__
from hypermol.benchmarks.answer import answer_of
from hypermol.benchmarks.entrants.contract import Outcome
from hypermol.benchmarks.measure import hypermol
from hypermol.benchmarks.task import Task
from hypermol.methods import find_method
from hypermol.runs import Run


@dataclass(frozen=True)
class Ours:
    """A method with settings: ``common`` in all tiers, ``tiers`` beyond them in one (dotted paths, as --set takes).

    oracle: it is told the true conformation (``known-z`` method), and so bounds what its like can reach.
    """

    name: str
    method: str
    common: Mapping[str, Any] = field(default_factory=dict)
    tiers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    oracle: bool = False
    family: str = "hypermol"
    ours: bool = True

    def version(self) -> str | None:
        """Of this package."""
        return __version__

    def unfit(self, task: Task) -> str | None:
        """Where the method needs poses and they are hidden."""
        if find_method(self.method).needs_poses and not task.given.pose:
            return "needs poses, which are hidden"
        if self.oracle and not task.truth.motion.moving.any():
            return "nothing moves, so there is no z to be told"
        return None

    def settings(self, task: Task) -> dict[str, Any]:
        """Version, method and settings."""
        return {
            "version": __version__,
            "method": self.method,
            **self.common,
            **self.tiers.get(task.tier, {}),
            "seed": task.seed,
        }

    def run(self, task: Task, folder: Path, limit_seconds: float) -> Outcome:
        """Train, and read the run folder."""
        given = {key: value for key, value in self.settings(task).items() if key not in ("version", "method")}
        if self.oracle:
            given |= {"conformation.file": task.conformations.resolve(), "z_dim": _columns(task)}
        options = [part for key, value in given.items() for part in ("--set", f"{key}={value}")]
        command: list[str | Path] = ["train", task.particles, "-m", self.method, "-o", folder / "run", *options]
        cost = hypermol(command, folder / "log.txt", limit_seconds)
        run = Run.open(folder / "run")
        return Outcome(cost, answer_of(run, task.given), _notes(run))


def _columns(task: Task) -> int:
    import numpy as np

    return int(np.load(task.conformations).shape[1])


def _notes(run: Run) -> dict[str, Any]:
    passes = [row for row in run.log() if row.get("event") == "pass" and row.get("phase") != "estimate"]
    seconds = sum(row["seconds"] for row in passes)
    images = sum(row["images_per_second"] * row["seconds"] for row in passes)
    notes = {"passes": len(passes), "images_per_second": round(images / seconds, 1)} if seconds > 0 else {}
    return {**notes, "precision": run.config["method"].get("precision", "float32")}
