"""Totals on their way to an update: summed over microbatches, then batches, then processes."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from hypermol.engine.contracts import Contribution, Deposit, Totals
from hypermol.engine.state import Clock


@dataclasses.dataclass
class BatchTotals:
    """The contributions of one batch, microbatch by microbatch. Nothing is deposited before all are known good."""

    sums: Totals = dataclasses.field(default_factory=dict)
    deposits: list[tuple[str, Deposit]] = dataclasses.field(default_factory=list)
    parts: list[Contribution] = dataclasses.field(default_factory=list)
    finite: bool = True

    def add(self, part: Contribution) -> None:
        """Take the totals out of ``part`` and keep the rest of it."""
        self.finite = self.finite and part.finite()
        for name, value in part.totals.items():
            if isinstance(value, Tensor):
                _add(self.sums, name, value)
            else:
                self.deposits.append((name, value))
        self.parts.append(dataclasses.replace(part, totals={}))

    def rows(self) -> dict[str, Tensor]:
        """Rows of the whole batch, by name."""
        names = self.parts[0].rows if self.parts else ()
        return {name: torch.cat([part.rows[name].detach() for part in self.parts]) for name in names}


@dataclasses.dataclass
class Pending:
    """What waits for the next update.

    ``since``: when the last update was. ``usable``: batches that count. ``partial``: one of them was too small to give
    every process a share.
    """

    since: Clock
    totals: Totals = dataclasses.field(default_factory=dict)
    usable: int = 0
    partial: bool = False

    def add(self, batch: BatchTotals, partial: bool) -> None:
        """Add a usable batch."""
        for name, value in batch.sums.items():
            if name in self.totals:
                self.totals[name].add_(value)
            else:
                self.totals[name] = value
        for name, deposit in batch.deposits:
            self.totals[name] = deposit.add_to(self.totals.get(name))
        self.usable += 1
        self.partial = self.partial or partial


def _add(sums: Totals, name: str, value: Tensor) -> None:
    if name in sums:
        sums[name].add_(value.detach())
    else:  # a copy: the method may still hold the tensor, and it is summed into in place
        sums[name] = value.detach().clone(memory_format=torch.contiguous_format)
