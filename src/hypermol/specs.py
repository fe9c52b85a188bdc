"""Specs: a part of a method described by data.

Every part (volume, estimator, objective, update, method) has a frozen dataclass with a ``kind`` under which
it is registered here. ``spec.build(context)`` makes the working part. The edge (files, command line)
validates values with pydantic and lists what is allowed when one is wrong. A setting's annotation may say what it is
for, `Annotated[Count, "particles at a time"]`: `hypermol methods NAME` shows it.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from hypermol import plugins
from hypermol.errors import ConfigError

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Bounds:
    """What values a number may take: finite, from ``low`` (or above it, where ``excluded``) to ``high``."""

    low: float
    high: float = math.inf
    excluded: bool = False

    def __str__(self) -> str:
        least = f"above {self.low:g}" if self.excluded else f"{self.low:g} or more"
        return least if self.high == math.inf else f"{least}, at most {self.high:g}"

    def admits(self, value: float) -> bool:
        """Whether ``value`` is allowed."""
        return math.isfinite(value) and self.low <= value <= self.high and not (self.excluded and value == self.low)


Count = Annotated[int, Bounds(1)]
Dimension = Annotated[int, Bounds(0)]
Positive = Annotated[float, Bounds(0, excluded=True)]
NonNegative = Annotated[float, Bounds(0)]
Share = Annotated[float, Bounds(0, 1, excluded=True)]
Portion = Annotated[float, Bounds(0, 1)]
Decay = Annotated[float, Bounds(0, 1 - 1e-9)]


@dataclasses.dataclass(frozen=True)
class BuildContext:
    """What a part may know of the data when it is built.

    box: pixels; pixel_size: Å; count: particles; points: P, packed pixels of an image; signal_amplitude: tensor
    [S], root mean square of the molecule's transform per shell (estimated); noise_amplitude: [S], of the noise over
    that of the CTF;
    seed: of the run; autocast: whether network layers may run in bfloat16; consensus: a call that gives the back
    projection of all images [D, D, D] (given poses), for parts that start from it; several_images: whether a particle
    has more than one (tilts); examples: a call that gives a batch of that many particles at most, spread over the set.
    """

    box: int
    pixel_size: float
    count: int
    points: int
    signal_amplitude: Any
    noise_amplitude: Any
    seed: int
    autocast: bool = False
    consensus: Callable[[], Any] | None = None
    several_images: bool = False
    examples: Callable[[int], Any] | None = None


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
    """All specs registered in a room, by kind; parts of other packages are known once they have been used."""
    return dict(_REGISTRY.get(room, {}))


def lookup(room: str, kind: str) -> type:
    """The spec class called ``kind`` in ``room``; a part that another package announces is loaded by this name.

    Raises ConfigError with the allowed kinds.
    """
    outside = {} if kind in _REGISTRY.get(room, {}) else _announced(room)
    if kind in outside:
        plugins.load(outside[kind])
    known = _REGISTRY.get(room, {})
    if kind not in known:
        names = known_kinds(room)
        raise ConfigError(f"unknown {room} {kind!r}{_suggest(kind, names)}; known: {', '.join(names)}")
    return known[kind]


def known_kinds(room: str) -> tuple[str, ...]:
    """The kinds of part that ``lookup`` finds in a room, those of other packages too."""
    return tuple(sorted({*_REGISTRY.get(room, {}), *_announced(room)}))


def _announced(room: str) -> dict[str, Any]:
    """Entry points of other packages by kind: "room.kind" under hypermol.parts, and methods by their names."""
    parts = {name: entry for name, entry in plugins.announced(plugins.PARTS).items() if name.startswith(f"{room}.")}
    found = {name.partition(".")[2]: entry for name, entry in parts.items()}
    return {**plugins.announced(plugins.METHODS), **found} if room == "method" else found


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


def updated(spec: T, path: str, value: Any, whole_path: str | None = None) -> T:
    """A copy of ``spec`` with the dotted ``path`` set to ``value`` (the --set of the command line).

    ``whole_path`` is what messages call it, where ``spec`` is itself a part.
    """
    name, _, rest = path.partition(".")
    names = [field.name for field in dataclasses.fields(spec)]  # type: ignore[arg-type]
    kind = getattr(spec, "kind", type(spec).__name__)
    if name not in names:
        raise ConfigError(f"{kind} has no setting {name!r}{_suggest(name, names)}; it has: {', '.join(names)}")
    current = getattr(spec, name)
    is_part = dataclasses.is_dataclass(current)
    if rest and not is_part:
        raise ConfigError(f"{kind}.{name} is a plain value; {path!r} goes one level too deep")
    others = known_kinds(current.room) if is_part and hasattr(current, "room") else ()
    if not rest and isinstance(value, str) and value in others:
        value = _other_kind(current, value)
    if is_part and not rest and not dataclasses.is_dataclass(value):
        inside = [f"{name}.{field.name}" for field in dataclasses.fields(current)]  # type: ignore[arg-type]
        hint = f"set what is in it: {', '.join(inside)}" if inside else "nothing in it can be set"
        instead = f", or name another kind of it: {', '.join(others)}" if len(others) > 1 else ""
        own = getattr(current, "kind", kind)
        raise ConfigError(f"{name} = {_shown(value)}: {name} is a part ({own}); {hint}{instead}")
    if rest:
        value = updated(current, rest, value, whole_path or path)
    values = {n: getattr(spec, n) for n in names}
    return validated(type(spec), {**values, name: value}, {name: whole_path or path})


def _other_kind(current: Any, kind: str) -> Any:
    """The part of another kind in the place of ``current``: its defaults, and the same z_dim where both have one; of
    its own kind, ``current`` as it is."""
    spec = lookup(current.room, kind)
    if isinstance(current, spec):
        return current
    names = {field.name for field in dataclasses.fields(spec)}  # type: ignore[arg-type]
    same = {"z_dim": current.z_dim} if "z_dim" in names and hasattr(current, "z_dim") else {}
    return validated(spec, same)


def validated(spec: type[T], values: Mapping[str, Any], called: Mapping[str, str] | None = None) -> T:
    """A dataclass from values, each checked against its annotation; ``called``: names for messages.

    Extra keys, wrong types and numbers out of bounds raise ConfigError.
    """
    names = {field.name for field in dataclasses.fields(spec)}  # type: ignore[arg-type]
    kind = getattr(spec, "kind", spec.__name__)
    for name in values:
        if name not in names:
            raise ConfigError(
                f"{kind} has no setting {name!r}{_suggest(name, names)}; it has: {', '.join(sorted(names))}"
            )
    hints = get_type_hints(spec, include_extras=True)
    called = {name: f"{kind}.{name}" for name in values} | dict(called or {})
    return spec(**{name: _checked(called[name], value, hints.get(name, Any)) for name, value in values.items()})


def _checked(what: str, value: Any, hint: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    if dataclasses.is_dataclass(value) or hint is Any:
        return value
    try:
        checked = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True)).validate_python(value)
    except ValidationError as error:
        raise ConfigError(f"{what} = {_shown(value)}: {_in_words(error.errors())}") from None
    for bounds in _bounds(hint):
        if isinstance(checked, int | float) and not bounds.admits(checked):
            raise ConfigError(f"{what} = {_shown(value)}: expected {bounds}")
    return checked


def _bounds(hint: Any) -> Iterator[Bounds]:
    """Those of an annotation, also inside ``… | None``."""
    if get_origin(hint) is Annotated:
        yield from (item for item in hint.__metadata__ if isinstance(item, Bounds))
        hint = hint.__origin__
    for inner in get_args(hint):
        yield from _bounds(inner)


def _in_words(errors: list[Any]) -> str:
    """What pydantic says, without Python's words."""
    said = " or ".join(dict.fromkeys(str(error["msg"]) for error in errors))
    for theirs, ours in (
        ("Input should be ", "expected "),
        ("a valid tuple", "a list, for example [0, 45]"),
        ("a valid string", "text"),
        ("a valid integer", "a whole number"),
        (", unable to parse string as a number", ""),
        (", unable to parse string as an integer", ""),
        (", got a number with a fractional part", ""),
        ("a valid boolean, unable to interpret input", "true or false"),
        ("Tuple should have", "expected"),
        (" after validation, not ", ", found "),
    ):
        said = said.replace(theirs, ours)
    return said


def allowed(hint: Any) -> str:
    """What an annotation admits, in words."""
    words = [str(bounds) for bounds in _bounds(hint)]
    plain = hint.__origin__ if get_origin(hint) is Annotated else hint
    choices = [str(choice) for choice in get_args(plain)] if get_origin(plain) is Literal else []
    return ", ".join(words or choices)


def explained(hint: Any) -> str:
    """What the setting is for: the text in its annotation, `Annotated[type, "text"]`, if there is one."""
    return next((item for item in getattr(hint, "__metadata__", ()) if isinstance(item, str)), "")


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


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
