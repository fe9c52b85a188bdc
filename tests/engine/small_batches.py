"""A program that is awkward for several processes: batches of one particle, batches that are skipped, a deposit, rows
and totals of every type, some of which a process never sees."""

import torch
from harness import ArraySource

from hypermol.engine import Contribution, Phase, Program, State, Step

N, BAD = 7, 4


class Heap:
    """A deposit: adds into every second place of a long total."""

    def __init__(self, value):
        self.value = value

    def finite(self):
        return bool(torch.isfinite(self.value))

    def add_to(self, total):
        total = torch.zeros(70_000, dtype=torch.float64) if total is None else total
        total[::2] += self.value
        return total


def source():
    x = torch.arange(1.0, N + 1, dtype=torch.float64)
    x[BAD] = float("nan")
    return ArraySource({"x": x})


def contribute(state, batch, draws):
    noise = draws.normal("noise", dtype=torch.float64)
    totals = {
        "sum": (batch.x + noise).sum(),
        "wave": torch.polar(batch.x, batch.x).sum(0, keepdim=True),
        "count": torch.tensor(len(batch.x)),
        "square": (batch.x[:, None, None] * torch.ones(2, 3, dtype=torch.float64)).sum(0).T,
        "heap": Heap(batch.x.sum()),
    }
    rows = {"large": batch.x > 3, "wave": torch.polar(batch.x, batch.x), "pair": torch.stack([batch.x, noise], 1)}
    return Contribution(totals, {**rows, "place": batch.particle.to(torch.int32)}, {"x": batch.x.sum()})


def apply(state, totals):
    added = {name: state.tensors.get(name, 0) + total for name, total in totals.items()}
    return State(added)


def program():
    step = Step(contribute, apply)
    single = Phase("batches of one", (step,), passes=2, batch_size=1)
    uneven = Phase("three and one", (step,), passes=2, batch_size=3, apply_every=2)
    whole = Phase("whole passes", (step,), passes=2, batch_size=1, apply_every=None)
    return Program(State, (single, uneven, whole))
