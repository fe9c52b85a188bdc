"""Collecting what is wrong with the input, so that everything is said at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from hypermol.errors import ConventionError, DataError

SHOWN = 5


@dataclass
class Problems:
    """The problems found in one data set so far. ``add`` collects, ``raise_if_any`` ends the reading."""

    path: Path
    found: list[str] = field(default_factory=list)
    convention: bool = False

    def add(self, message: str) -> None:
        """Note one problem: field, what was expected, what was found, what to do."""
        if message not in self.found:
            self.found.append(message)

    def add_convention(self, message: str) -> None:
        """Note a problem of meaning: the file is well-formed but would be misread."""
        self.convention = True
        self.add(message)

    def raise_if_any(self) -> None:
        """Raise DataError (ConventionError when the meaning is in doubt) that lists all problems."""
        if self.found:
            raise (ConventionError if self.convention else DataError)(listing(self.path, self.found))


def listing(path: Path | str, found: list[str]) -> str:
    """One message of several lines for the problems of one file."""
    if len(found) == 1:
        return f"{path}: {found[0]}"
    lines = "\n".join(f"  - {problem}" for problem in found)
    return f"{path}: {len(found)} problems\n{lines}"


def some(values: Iterable[object], shown: int = SHOWN) -> str:
    """The first few of many values in words: ``3, 7, 9 and 12 more``."""
    items = [str(v) for v in values]
    more = len(items) - shown
    return ", ".join(items[:shown]) + (f" and {more} more" if more > 0 else "")
