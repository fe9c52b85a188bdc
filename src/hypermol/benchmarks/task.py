"""A problem at one size with one seed: simulated, handed to a program, scored."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hypermol.atomic import write_with
from hypermol.benchmarks.given import Given, known_z, write_input
from hypermol.errors import ConfigError
from hypermol.runs import Run, write_text
from hypermol.simulation import Truth, simulate

if TYPE_CHECKING:
    from hypermol.benchmarks.answer import Answer
    from hypermol.benchmarks.problem import Problem

Figures = dict[str, dict[str, Any]]
COMPARED = {"tiny": 12, "small": 100, "paper": 100}
"""Particles whose maps are held against their own."""
BOUND = {"tiny": 20, "small": 300, "paper": 1000}
"""Particles whose posterior under the true model is worked out."""


@dataclass(frozen=True)
class Task:
    """``simulate()``, then hand ``particles`` to a program, then ``score`` what it found.

    folder: holds ``data`` (DESIGN §5) and what was worked out about it. given: what the program is told.
    """

    problem: Problem
    tier: str
    seed: int
    folder: Path
    given: Given = Given()  # noqa: RUF009 (frozen)

    @property
    def data(self) -> Path:
        """The simulated data set."""
        return self.folder / "data"

    def simulate(self, progress: Callable[[str, int, int], None] | None = None) -> Path:
        """Make the data set, unless it is there already; returns its folder."""
        if not (self.data / "simulation.toml").exists():
            recipe, words = self.problem.settled(self.tier, self.seed, self.folder / "models")
            self.folder.mkdir(parents=True, exist_ok=True)
            write_text(self.folder / "molecule.txt", words + "\n")
            simulate(recipe, self.data, progress)
        return self.data

    @property
    def molecule(self) -> str:
        """In words, what was imaged; a stand-in says so. Raises ConfigError before ``simulate``."""
        self._require_data()
        return (self.folder / "molecule.txt").read_text(encoding="utf-8").strip()

    @cached_property
    def truth(self) -> Truth:
        """What is known. Raises ConfigError before ``simulate``."""
        self._require_data()
        return Truth.load(self.data)

    @property
    def particles(self) -> Path:
        """The star file that a program is handed: what is hidden is not in it."""
        name = "particles.star" if self.given.label == "all" else f"input-{self.given.label}.star"
        if not (self.data / name).exists():
            write_input(self.truth, self.given, self.seed)
        return self.data / name

    @property
    def conformations(self) -> Path:
        """An .npy of the true conformation as z [N, d], for the oracle (``Given.z``)."""
        path = self.data / "known-z.npy"
        if not path.exists():
            z = known_z(self.truth).astype(np.float32)
            write_with(path, lambda stream: np.save(stream, z))
        return path

    def sample(self, counts: dict[str, int]) -> np.ndarray:
        """Numbers of some intact particles, the same for every program: ``counts`` by tier."""
        return self.truth.sample(counts.get(self.tier, counts["small"]))

    def bound(self) -> Figures:
        """What the images hold: the best figures that any method could reach on average; kept in the folder."""
        from hypermol.benchmarks.bounds import information_bound

        path = self.folder / "bound.json"
        if not path.exists():
            write_text(path, json.dumps(information_bound(self.truth, self.sample(BOUND)), indent=1))
        return json.loads(path.read_text())

    def score(self, result: Answer | Run | Path | str) -> Figures:
        """Figures of what a program found: name → {"value", "unit", "how", "best"}, with "bound" where there is one.

        ``result``: an ``Answer``, or a run folder of ours. Raises ConfigError where the run saw other particles.
        """
        from hypermol.benchmarks.answer import Answer, answer_of
        from hypermol.benchmarks.scoring import score

        if not isinstance(result, Answer):
            run = result if isinstance(result, Run) else Run.open(result)
            seen = Path(run.config["input"]["particles"]).resolve().parent
            if seen != self.data.resolve():
                raise ConfigError(f"{run.path} was made from particles in {seen}, not from {self.data}")
            result = answer_of(run, self.given)
        return score(self.truth, result, self.sample(COMPARED), self.bound())

    def _require_data(self) -> None:
        if not (self.data / "simulation.toml").exists():
            raise ConfigError(f"{self.data}: nothing is simulated yet; call simulate() first")
