"""Info: the running sums of one pass that a person wants to see. They never steer the job."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from hypermol.engine.contracts import Contribution, Phase
from hypermol.engine.processes import Processes
from hypermol.engine.state import Clock


@dataclasses.dataclass
class PassInfo:
    """Sums over this process's share, kept as tensors so that a GPU is never waited for.

    ``share``: particles behind the sums. ``count``: usable particles of all processes. ``seconds``: spent on the
    pass before this process began with it.
    """

    sums: dict[str, Tensor | float] = dataclasses.field(default_factory=dict)
    share: int = 0
    count: int = 0
    seconds: float = 0.0
    began: float = dataclasses.field(default_factory=time.monotonic)

    def add(self, parts: Iterable[Contribution], share: int, count: int) -> None:
        """Add the info of one batch's contributions: ``share`` particles here, ``count`` in all processes."""
        for part in parts:
            for name, value in part.info.items():
                value = value.detach().double() if isinstance(value, Tensor) else float(value)
                self.sums[name] = self.sums.get(name, 0.0) + value
        self.share, self.count = self.share + share, self.count + count

    def own(self, device: torch.device) -> dict[str, Any]:
        """This process's sums as plain data; no process waits for another."""
        return self._plain(self._tensors(device), self.share)

    def collected(self, processes: Processes, device: torch.device) -> dict[str, Any]:
        """Sums over all processes, as plain data that goes with a checkpoint taken inside a pass."""
        sums = self._tensors(device)
        if processes.world > 1:
            processes.complete(sums, device)
            sums = {name: processes.sum(sums[name].clone()) for name in sorted(sums)}
        return self._plain(sums, self.count)

    @classmethod
    def continued(cls, saved: dict[str, Any] | None, processes: Processes) -> PassInfo:
        """Go on from what ``collected`` gave; the first process holds it for all."""
        if saved is None:
            return cls()
        count, seconds = saved["count"], saved["seconds"]
        return cls(dict(saved["sums"]), count, count, seconds) if processes.first else cls({}, 0, count, seconds)

    def _tensors(self, device: torch.device) -> dict[str, Tensor]:
        return {name: torch.as_tensor(value, dtype=torch.float64, device=device) for name, value in self.sums.items()}

    def _plain(self, sums: dict[str, Tensor], share: int) -> dict[str, Any]:
        seconds = self.seconds + time.monotonic() - self.began
        values = {name: float(sums[name]) for name in sums}
        return {"share": share, "count": self.count, "seconds": seconds, "sums": values}


def event(kind: str, phase: Phase, clock: Clock, skipped: int, collected: dict[str, Any]) -> dict[str, Any]:
    """A plain row for the log or a progress bar: where the job is, its speed, and means per particle."""
    count, seconds, share = collected["count"], collected["seconds"], collected["share"]
    return {
        "event": kind,
        "phase": phase.name,
        "pass": clock.pass_index,
        "passes": phase.passes,
        "images": clock.images,
        "updates": clock.updates,
        "skipped": skipped,
        "seconds": round(seconds, 3),
        "images_per_second": round(count / max(seconds, 1e-9), 2),
        **{name: value / share for name, value in collected["sums"].items() if share},
    }
