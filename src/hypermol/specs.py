"""Specs: a part of a method described by data.

Every part (volume, estimator, objective, update, method) has a frozen dataclass with a ``kind`` under which
it is registered here. ``spec.build(context)`` makes the working part. The edge (files, command line)
validates values with pydantic and lists what is allowed when one is wrong.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from hypermol.errors import ConfigError

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class BuildContext:
    """What a part may know of the data when it is built.

    box: pixels; pixel_size: Å; count: particles; points: P, packed pixels of an image; signal: tensor [S], root mean
    square of the molecule's transform per shell (estimated); noise: tensor [G, S], σ² per optics group and shell;
    seed: of the run; autocast: whether network layers may run in bfloat16; consensus: a call that gives the back
    projection of all images [D, D, D] (given poses), for parts that start from it.
    """

    box: int
    pixel_size: float
    count: int
    points: int
    signal: Any
    noise: Any
    seed: int
    autocast: bool = False
    consensus: Callable[[], Any] | None = None


_REGISTRY: dict[str, dict[str, type]] = {}


def register(room: str, kind: str) -> Callable[[type[T]], type[T]]:
    """Class decorator: make a frozen dataclass known as ``kind`` in ``room`` ("volume", "pose", ...)."""

    def add(spec: type[T]) -> type[T]:
        known = _REGISTRY.setdefault(room, {})
        if kind in known and known[kind].__qualname__ != spec.__qualname__:
            raise ConfigError(f"two {room} parts are both called {kind!r}: {known[kind]} and {spec}")
        known[kind] = spec
        spec.room, spec.kind = room, kind  # type: ignore[attr-defined]
        return spec

    return add


def kinds(room: str) -> dict[str, type]:
    """All specs registered in a room, by kind."""
    return dict(_REGISTRY.get(room, {}))


def lookup(room: str, kind: str) -> type:
    """The spec class called ``kind`` in ``room``. Raises ConfigError with the allowed kinds."""
    known = _REGISTRY.get(room, {})
    if kind not in known:
        raise ConfigError(f"unknown {room} {kind!r}{_suggest(kind, known)}; known: {', '.join(sorted(known))}")
    return known[kind]


def to_dict(spec: Any) -> dict[str, Any]:
    """A spec as plain nested data, with its ``kind`` (absent values, None, are left out: TOML has no null)."""
    data: dict[str, Any] = {"kind": spec.kind}
    for field in dataclasses.fields(spec):
        value = _plain(getattr(spec, field.name))
        if value is not None:
            data[field.name] = value
    return data


def from_dict(room: str, data: Mapping[str, Any]) -> Any:
    """Rebuild a spec from ``to_dict`` data. Extra keys and wrong types raise ConfigError."""
    values = dict(data)
    spec = lookup(room, str(values.pop("kind", "")))
    return validated(spec, {name: _revive(value) for name, value in values.items()})


def updated(spec: T, path: str, value: Any) -> T:
    """A copy of ``spec`` with the dotted ``path`` set to ``value`` (the --set of the command line)."""
    name, _, rest = path.partition(".")
    names = [field.name for field in dataclasses.fields(spec)]  # type: ignore[arg-type]
    kind = getattr(spec, "kind", type(spec).__name__)
    if name not in names:
        raise ConfigError(f"{kind} has no setting {name!r}{_suggest(name, names)}; it has: {', '.join(names)}")
    current = getattr(spec, name)
    if rest:
        if not dataclasses.is_dataclass(current):
            raise ConfigError(f"{kind}.{name} is a plain value; {path!r} goes one level too deep")
        value = updated(current, rest, value)
    values = {n: getattr(spec, n) for n in names}
    return validated(type(spec), {**values, name: value})


def validated(spec: type[T], values: Mapping[str, Any]) -> T:
    """A dataclass from values, each checked against its annotation. Extra keys and wrong types raise ConfigError."""
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    names = {field.name for field in dataclasses.fields(spec)}  # type: ignore[arg-type]
    kind = getattr(spec, "kind", spec.__name__)
    for name in values:
        if name not in names:
            raise ConfigError(
                f"{kind} has no setting {name!r}{_suggest(name, names)}; it has: {', '.join(sorted(names))}"
            )
    hints = _hints(spec)
    checked = {}
    for name, value in values.items():
        hint = hints.get(name, Any)
        if dataclasses.is_dataclass(value) or hint is Any:
            checked[name] = value
            continue
        try:
            config = ConfigDict(arbitrary_types_allowed=True)
            checked[name] = TypeAdapter(hint, config=config).validate_python(value)
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise ConfigError(f"{kind}.{name} = {value!r}: {reason}") from None
    return spec(**checked)


def _hints(spec: type) -> dict[str, Any]:
    import typing

    return typing.get_type_hints(spec)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and hasattr(value, "kind"):
        return {"room": value.room, **to_dict(value)}  # type: ignore[attr-defined, union-attr]
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value


def _revive(value: Any) -> Any:
    if isinstance(value, Mapping) and "room" in value:
        values = dict(value)
        return from_dict(str(values.pop("room")), values)
    if isinstance(value, list):
        return tuple(_revive(v) for v in value)
    return value


def _suggest(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
