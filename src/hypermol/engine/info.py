"""Info: the running sums of one pass that a person wants to see. They never steer the job."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hypermol.engine.contracts import Contribution, Phase
from hypermol.engine.processes import Processes
from hypermol.engine.state import Clock


@dataclasses.dataclass
class PassInfo:
    """Sums over this process's share, kept as tensors so that a GPU is never waited for.

    ``shares``: the particles behind each sum (steps in a game may tell of different things). ``count``: usable
    particles of all processes; ``images``: their images. ``seconds``: spent on the pass before this process began with
    it. ``partial``: a batch was too small to give every process a share.
    """

    sums: dict[str, Tensor | float] = dataclasses.field(default_factory=dict)
    shares: dict[str, int] = dataclasses.field(default_factory=dict)
    count: int = 0
    images: int = 0
    seconds: float = 0.0
    partial: bool = False
    began: float = dataclasses.field(default_factory=time.monotonic)

    def add(self, parts: Sequence[Contribution], share: int, count: int, images: int, partial: bool) -> None:
        """Add the info of one batch's contributions: ``share`` particles here; ``count`` and ``images`` in all
        processes."""
        for part in parts:
            for name, value in part.info.items():
                value = value.detach().double() if isinstance(value, Tensor) else float(value)
                self.sums[name] = self.sums.get(name, 0.0) + value
        for name in parts[0].info if parts else ():
            self.shares[name] = self.shares.get(name, 0) + share
        self.count, self.images, self.partial = self.count + count, self.images + images, self.partial or partial

    def own(self) -> dict[str, Any]:
        """This process's sums as plain data; no process waits for another."""
        sums = {name: [float(value), self.shares[name]] for name, value in self.sums.items()}
        seconds = self.seconds + time.monotonic() - self.began
        return {"count": self.count, "images": self.images, "seconds": seconds, "sums": sums}

    def collected(self, processes: Processes, device: torch.device) -> dict[str, Any]:
        """Sums over all processes, as plain data that goes with a checkpoint taken inside a pass."""
        data = self.own()
        if processes.world > 1:
            sums = {n: torch.tensor(pair, dtype=torch.float64, device=device) for n, pair in data["sums"].items()}
            if self.partial:
                processes.complete(sums, device)
            processes.sum_all(sums)
            data["sums"] = {name: pair.tolist() for name, pair in sums.items()}
        return data

    @classmethod
    def continued(cls, saved: dict[str, Any] | None, processes: Processes) -> PassInfo:
        """Go on from what ``collected`` gave; the first process holds it for all."""
        if saved is None:
            return cls()
        sums = {name: pair[0] if processes.first else 0.0 for name, pair in saved["sums"].items()}
        shares = {name: int(pair[1]) if processes.first else 0 for name, pair in saved["sums"].items()}
        return cls(sums, shares, saved["count"], saved["images"], saved["seconds"])


def event(kind: str, phase: Phase, clock: Clock, skipped: int, collected: dict[str, Any]) -> dict[str, Any]:
    """A plain row for the log or a progress bar: where the job is, its speed, and means per particle."""
    return {
        "event": kind,
        "phase": phase.name,
        "pass": clock.pass_index,
        "passes": phase.passes,
        "particles": clock.images,
        "updates": clock.updates,
        "skipped": skipped,
        "seconds": round(collected["seconds"], 3),
        "images_per_second": round(collected["images"] / max(collected["seconds"], 1e-9), 2),
        **{name: total / max(share, 1) for name, (total, share) in collected["sums"].items()},
    }
