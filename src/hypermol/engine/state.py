"""State is the checkpoint: what the next step needs, all of it and nothing else."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import torch
from torch import Tensor

from hypermol.errors import ConfigError


@dataclasses.dataclass
class Clock:
    """Where a job is. Every draw and every batch order is a pure function of it and the seed."""

    phase: int = 0
    pass_index: int = 0  # within the phase
    batch: int = 0  # next batch of the pass
    updates: int = 0  # applied in the phase
    images: int = 0  # particles seen, all phases
    total_passes: int = 0  # begun before this one, all phases
    entered: bool = False  # whether the phase's `enter` has run
    progress: float = 0.0  # share of the phase's passes that is over, 0 to 1

    def copy(self) -> Clock:
        """The same moment, to be kept while this clock goes on."""
        return dataclasses.replace(self)

    def begin_pass(self) -> None:
        """Go to the start of the next pass."""
        self.pass_index, self.total_passes, self.batch = self.pass_index + 1, self.total_passes + 1, 0

    def begin_phase(self) -> None:
        """Go to the start of the next phase."""
        self.phase, self.pass_index, self.batch, self.updates, self.entered = self.phase + 1, 0, 0, 0, False
        self.progress = 0.0


@dataclasses.dataclass
class State:
    """``tensors``: parameters, maps, optimiser moments. ``table``: one row per particle. ``data``: plain values."""

    tensors: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    table: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    data: dict[str, Any] = dataclasses.field(default_factory=dict)
    clock: Clock = dataclasses.field(default_factory=Clock)

    def to(self, device: torch.device | str) -> State:
        """The same state with its tensors on ``device``."""
        return State(
            {name: tensor.to(device) for name, tensor in self.tensors.items()},
            {name: tensor.to(device) for name, tensor in self.table.items()},
            self.data,
            self.clock,
        )

    def to_checkpoint(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Named tensors and plain data, as runs.checkpoints writes them.

        Raises ConfigError where ``data`` would not come back from JSON as it was (tuples, arrays, keys not strings).
        """
        tensors = {f"tensors/{name}": tensor for name, tensor in self.tensors.items()}
        tensors |= {f"table/{name}": tensor for name, tensor in self.table.items()}
        try:
            plain = json.loads(json.dumps(self.data)) == self.data
        except TypeError:
            plain = False
        if not plain:
            raise ConfigError(f"state.data must be plain (dict, list, str, number, None), found {self.data!r}")
        return tensors, {"data": self.data, "clock": dataclasses.asdict(self.clock)}

    @classmethod
    def from_checkpoint(cls, tensors: dict[str, Tensor], content: dict[str, Any]) -> State:
        """Inverse of ``to_checkpoint``."""
        state = cls(data=content["data"], clock=Clock(**content["clock"]))
        for name, tensor in tensors.items():
            place, _, key = name.partition("/")
            (state.tensors if place == "tensors" else state.table)[key] = tensor
        return state
