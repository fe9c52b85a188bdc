"""What extends the package: files of a room, and what other packages announce as entry points.

A file put into ``methods/`` or ``benchmarks/problems/`` is found by looking into the folder. Another package announces
what it has in its own metadata, and nothing of it is imported before it is asked for:

    [project.entry-points."hypermol.methods"]
    my-method = "my_package.my_method:MY_METHOD"

Groups: ``hypermol.methods``, ``hypermol.problems``, and ``hypermol.parts``, whose names are "room.kind".
An entry point that cannot be used is a warning that names its package, never the end of a command that can do without.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from hypermol.errors import ConfigError

METHODS, PROBLEMS, PARTS = "hypermol.methods", "hypermol.problems", "hypermol.parts"


class OutsideWarning(UserWarning):
    """Something that another package announces cannot be used."""


def announced(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group by name. Of two with one name the first is kept, with a warning."""
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=group):
        if entry.name in found and entry.value != found[entry.name].value:
            _warn(f"{group} {entry.name!r} of {_package(entry)} is left out: {_package(found[entry.name])} has one too")
        found.setdefault(entry.name, entry)
    return found


def load(entry: EntryPoint) -> Any:
    """What an entry point names. Raises ConfigError that names the package where that fails, whatever the reason."""
    try:
        return entry.load()
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{entry.name!r} of {_package(entry)} ({entry.value}) cannot be loaded: {reason}") from error


@dataclass(frozen=True)
class Catalogue(Mapping[str, Any]):
    """Things by name: those of a folder of this package, then those of other packages, loaded when asked for.

    word: what one is called in messages. folder: a package of ours whose files hold them. group: of entry points.
    fault: what is wrong with an object as one of these, in words, or None. Every object has a ``name``.
    """

    word: str
    folder: str
    group: str
    fault: Callable[[Any], str | None]

    def built_in(self) -> dict[str, Any]:
        """Those in our own folder, in the order of its files. Raises ConfigError where two have one name."""
        found: dict[str, Any] = {}
        package = importlib.import_module(self.folder)
        for file in pkgutil.iter_modules(package.__path__):
            for value in vars(importlib.import_module(f"{self.folder}.{file.name}")).values():
                if isinstance(value, type) or self.fault(value):
                    continue
                if found.setdefault(value.name, value) is not value:
                    raise ConfigError(f"two {self.word}s in {self.folder} are called {value.name!r}")
        return found

    def find(self, name: str) -> Any:
        """The one called ``name``. Raises ConfigError: unknown (with those known), or announced and not usable."""
        ours = self.built_in()
        if name in ours:
            return ours[name]
        outside = announced(self.group)
        if name in outside:
            return self._checked(outside[name])
        known = [*ours, *outside]
        close = difflib.get_close_matches(name, known, n=1)
        meant = f" (did you mean {close[0]!r}?)" if close else ""
        raise ConfigError(f"unknown {self.word} {name!r}{meant}; known: {', '.join(known)}")

    def __getitem__(self, name: str) -> Any:
        if name not in self.built_in() and name not in announced(self.group):
            raise KeyError(name)
        return self.find(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._usable())

    def __len__(self) -> int:
        return len(self._usable())

    def items(self) -> Any:
        """Pairs of name and thing; each is loaded once."""
        return self._usable().items()

    def values(self) -> Any:
        """All that can be used."""
        return self._usable().values()

    def _usable(self) -> dict[str, Any]:
        found = self.built_in()
        for name, entry in announced(self.group).items():
            if name in found:
                _warn(f"{self.word} {name!r} of {_package(entry)} is left out: hypermol itself has one of that name")
                continue
            try:
                found[name] = self._checked(entry)
            except ConfigError as error:
                _warn(str(error))
        return found

    def _checked(self, entry: EntryPoint) -> Any:
        try:
            value = load(entry)
        except ConfigError as error:
            raise ConfigError(f"{self.word} {error}") from error
        fault = self.fault(value)
        if fault is None and value.name != entry.name:
            fault = f"it calls itself {value.name!r}"
        if fault:
            raise ConfigError(f"{self.word} {entry.name!r} of {_package(entry)} ({entry.value}) is of no use: {fault}")
        return value


def lacking(value: Any, names: tuple[str, ...]) -> str | None:
    """Which of the attributes an object lacks, in words, or None."""
    missing = [name for name in names if not hasattr(value, name)]
    return f"it lacks {', '.join(missing)}" if missing else None


def _package(entry: EntryPoint) -> str:
    return f"package {entry.dist.name!r}" if entry.dist is not None else "another package"


def _warn(text: str) -> None:
    warnings.warn(text, OutsideWarning, stacklevel=3)
