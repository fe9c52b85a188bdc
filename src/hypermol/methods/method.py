"""What a method is to the rest of the package."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from hypermol.engine import Program, State
from hypermol.specs import BuildContext


@dataclasses.dataclass(frozen=True)
class Results:
    """What a finished job leaves: estimates.npz arrays, maps [D, D, D] by file name, figures for metrics.json,
    curves (FSC per shell) by name, notes in words for the log, and matrices of how alike maps are."""

    estimates: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    maps: Mapping[str, Tensor] = dataclasses.field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    curves: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    matrices: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


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
