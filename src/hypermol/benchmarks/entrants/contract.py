"""What an entrant must offer."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from hypermol.benchmarks.answer import Answer
from hypermol.benchmarks.measure import Cost
from hypermol.benchmarks.task import Task


@dataclass(frozen=True)
class Outcome:
    """What a program cost, what it found, and notes for the row (settings, images per second, …)."""

    cost: Cost
    answer: Answer
    notes: dict[str, Any] = field(default_factory=dict)


class Entrant(Protocol):
    """A program that takes part.

    ours: whether it is a method of this package. family: "hypermol", "cryodrgn", "relion", "recovar" or another name.
    """

    @property
    def name(self) -> str: ...

    @property
    def family(self) -> str: ...

    @property
    def ours(self) -> bool: ...

    def version(self) -> str | None:
        """The program's version, or None where it is absent."""

    def unfit(self, task: Task) -> str | None:
        """Why this program cannot take part in this task ("needs poses", "is not installed: …"), or None."""

    def settings(self, task: Task) -> dict[str, Any]:
        """What it is told besides the particles, in full: a finished cell is done anew when this changes."""

    def run(self, task: Task, folder: Path, limit_seconds: float) -> Outcome:
        """Run it in the empty ``folder``. Raises HypermolError where it fails (ProgramFailed with its cost)."""
