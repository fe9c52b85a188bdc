"""What a method is to the rest of the package, and how its settings are changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from hypermol.engine import Program, State
from hypermol.errors import ConfigError
from hypermol.specs import BuildContext, updated


@dataclasses.dataclass(frozen=True)
class Results:
    """What a finished job leaves: estimates.npz arrays, maps [D, D, D] by file name, figures for metrics.json, and
    curves (FSC per shell) by name."""

    estimates: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    maps: Mapping[str, Tensor] = dataclasses.field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    curves: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


class Method(Protocol):
    """A composition of parts: a frozen dataclass registered in the room "method"."""

    name: str
    source: str
    represents: str
    infers: str
    optimises: str

    @property
    def needs_poses(self) -> bool:
        """Whether the particles must come with poses."""

    @property
    def microbatch(self) -> int:
        """Particles per contribution."""

    def program(self, context: BuildContext) -> Program:
        """The phases, ready to run."""

    def results(self, state: State, context: BuildContext) -> Results:
        """What to write when the last phase is over."""

    def decoder(self, state: State, context: BuildContext) -> Any:
        """A callable z [n, d] (or None when homogeneous) → maps [n, D, D, D]."""


def configured(method: Any, settings: Mapping[str, Any]) -> Any:
    """The method with ``settings`` applied: dotted paths, or the short names that every method that has them knows.

    epochs: passes of the last phase; z_dim: of every part; batch_size: of every phase; learning_rate: of the update.
    Raises ConfigError that lists what can be set.
    """
    for path, value in settings.items():
        targets = _targets(method, path)
        for target in targets:
            method = _with(method, target, value)
    return method


def _targets(method: Any, path: str) -> list[str]:
    names = [field.name for field in dataclasses.fields(method)]
    phases = len(getattr(method, "phases", ()))
    if path == "epochs" and phases:
        return [f"phases.{phases - 1}.passes"]
    if path == "batch_size" and phases:
        return [f"phases.{i}.batch_size" for i in range(phases)]
    if path == "learning_rate" and "update" in names:
        return ["update.learning_rate"]
    if path == "z_dim":
        parts = [n for n in names if "z_dim" in {f.name for f in _fields(getattr(method, n))}]
        if not parts or getattr(method, parts[0]).z_dim == 0:
            raise ConfigError(f"{method.name} has no latent z, so z_dim cannot be set")
        return [f"{part}.z_dim" for part in parts]
    return [path]


def _with(method: Any, path: str, value: Any) -> Any:
    if not path.startswith("phases."):
        return updated(method, path, value)
    _, place, rest = path.split(".", 2)
    phases = list(method.phases)
    try:
        phases[int(place)] = updated(phases[int(place)], rest, value)
    except (ValueError, IndexError):
        raise ConfigError(f"{path}: {method.name} has phases 0 to {len(phases) - 1}") from None
    return dataclasses.replace(method, phases=tuple(phases))


def _fields(value: Any) -> tuple[Any, ...]:
    return dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()
