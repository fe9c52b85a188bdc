"""A benchmark problem: a simulated data set whose answer is known, in three sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypermol.benchmarks.given import Given
from hypermol.benchmarks.molecules import Molecule
from hypermol.benchmarks.task import Task
from hypermol.errors import ConfigError
from hypermol.plugins import PROBLEMS as GROUP
from hypermol.plugins import Catalogue, lacking
from hypermol.simulation import Recipe

TIERS = ("tiny", "small", "paper")
"""tiny: for tests, seconds. small: two cores, minutes. paper: the published sizes."""


@dataclass(frozen=True)
class Problem:
    """What is simulated, at which sizes, after whom.

    words: what a reader is told. source: the paper. recipe: settings common to all tiers (with the recipe's name),
    those of the molecule win over them, and ``tiers`` over both. molecule: finds or makes the model in a folder, and
    says in words what it is; None where the recipe's own is meant.
    """

    name: str
    words: str
    source: str
    recipe: Mapping[str, Any]
    tiers: Mapping[str, Mapping[str, Any]]
    molecule: Callable[[Path], Molecule] | None = field(default=None)

    def at(self, tier: str = "tiny", seed: int = 0, folder: Path | str = "bench", given: Given | None = None) -> Task:
        """The problem at one size with one seed, in ``folder``/<name>-<tier>-seed<seed>.

        Raises ConfigError for a tier that it does not have.
        """
        if tier not in self.tiers:
            raise ConfigError(f"{self.name!r} has no tier {tier!r}; it has: {', '.join(self.tiers)}")
        return Task(self, tier, seed, Path(folder) / f"{self.name}-{tier}-seed{seed}", given or Given())

    def settled(self, tier: str, seed: int, folder: Path) -> tuple[Recipe, str]:
        """The recipe with its model in place, and the molecule in words. Model files are written into ``folder``."""
        molecule = Molecule("the built-in molecule of the recipe") if self.molecule is None else self.molecule(folder)
        settings = {**self.recipe, **molecule.settings, **self.tiers[tier], "seed": seed}
        return Recipe.named(str(settings.pop("name")), **settings), molecule.words


def _fault(value: Any) -> str | None:
    """Why this is no problem of the benchmark."""
    return None if isinstance(value, Problem) else lacking(value, ("name", "words", "source", "tiers", "at", "settled"))


PROBLEMS = Catalogue("problem", "hypermol.benchmarks.problems", GROUP, _fault)
"""Problems by name: the files of ``benchmarks/problems/``, then what other packages announce."""


def find_problem(name: str) -> Problem:
    """The problem called ``name``. Raises ConfigError with those known."""
    return PROBLEMS.find(name)
