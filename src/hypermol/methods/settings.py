"""The settings of a method: what they are, and how they are changed."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_type_hints

from hypermol.errors import ConfigError
from hypermol.specs import allowed, explained, updated

FIXED = ("name", "source")


def configured(method: Any, settings: Mapping[str, Any], others: Sequence[str] = ()) -> Any:
    """The method with ``settings`` applied: dotted paths, or the short names that every method that has them knows.

    epochs: passes of the last phase; z_dim: of every part; batch_size: of every phase; learning_rate: of the update.
    ``others``: settings that the caller handles itself, named in suggestions. Raises ConfigError that says what can be
    set, what a value may be, or which parts do not fit each other.
    """
    changed = method
    for path, value in settings.items():
        for target in _targets(method, path, others):
            changed = _with(changed, target, value, path)
    getattr(changed, "check", lambda: None)()
    return changed


@dataclasses.dataclass(frozen=True)
class Setting:
    """The value of a setting, and in words what it may be and what it is for."""

    value: Any
    allowed: str
    explained: str


def settings_of(method: Any) -> dict[str, Setting]:
    """Every setting by its dotted path; the short names first."""
    known = dict(_flat(method, ""))
    short = {}
    for name in ("epochs", "batch_size", "learning_rate", "z_dim"):
        targets = [target for target in _short(method, name) if target in known]
        if targets and name not in known:
            short[name] = known[targets[-1]]
    return {**short, **known}


def _flat(spec: Any, prefix: str) -> Iterator[tuple[str, Setting]]:
    hints = get_type_hints(type(spec), include_extras=True)
    for field in dataclasses.fields(spec):
        value, path = getattr(spec, field.name), f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            yield from _flat(value, f"{path}.")
        elif field.name == "phases":
            for place, phase in enumerate(value):
                yield from _flat(phase, f"{path}.{place}.")
        elif field.name not in FIXED:
            yield path, Setting(value, allowed(hints[field.name]), explained(hints[field.name]))


def _short(method: Any, name: str) -> list[str]:
    """The settings that a short name stands for (none where the method lacks them)."""
    phases = len(getattr(method, "phases", ()))
    if name == "epochs" and phases:
        return [f"phases.{phases - 1}.passes"]
    if name == "batch_size" and phases:
        return [f"phases.{place}.batch_size" for place in range(phases)]
    if name == "learning_rate" and hasattr(method, "update"):
        return ["update.learning_rate"]
    if name == "z_dim":
        parts = [f.name for f in dataclasses.fields(method) if hasattr(getattr(method, f.name), "z_dim")]
        return [f"{part}.z_dim" for part in parts if getattr(method, part).z_dim > 0]
    return []


def _targets(method: Any, path: str, others: Sequence[str]) -> list[str]:
    known = settings_of(method)
    if path in known:
        return _short(method, path) or [path]
    head = path.partition(".")[0]
    if head in {field.name for field in dataclasses.fields(method)} - {*FIXED, "phases"}:
        return [path]  # the part says what is wrong with the rest
    if path in ("z_dim", "epochs", "learning_rate"):
        what = {"z_dim": "latent z", "epochs": "epochs", "learning_rate": "gradient steps"}[path]
        passes = [name for name in known if name.rpartition(".")[2].endswith("passes")] if path == "epochs" else []
        instead = f"; how long it runs is set by {', '.join(passes)}" if passes else ""
        raise ConfigError(f"{method.name} has no {what}, so {path} cannot be set{instead}")
    raise ConfigError(
        f"{method.name} has no setting {path!r}{_nearest(path, [*known, *others])}; "
        f"`hypermol methods {method.name}` lists them"
    )


def _with(method: Any, path: str, value: Any, called: str) -> Any:
    if not path.startswith("phases."):
        return updated(method, path, value, called)
    _, place, rest = path.split(".", 2)
    phases = list(method.phases)
    phases[int(place)] = updated(phases[int(place)], rest, value, called)
    return dataclasses.replace(method, phases=tuple(phases))


def _nearest(path: str, known: Sequence[str]) -> str:
    """Suggestions: the same word inside a part, else a similar one."""
    word = path.rpartition(".")[2]
    inside = [name for name in known if name.rpartition(".")[2] == word]
    close = inside or difflib.get_close_matches(path, known, n=1)
    if not close:
        last = {name.rpartition(".")[2]: name for name in reversed(known)}
        close = [last[found] for found in difflib.get_close_matches(word, list(last), n=1)]
    return f" (did you mean {' or '.join(map(repr, close[:3]))}?)" if close else ""
