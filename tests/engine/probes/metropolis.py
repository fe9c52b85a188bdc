"""Metropolis: one chain per particle, kept in the table; the moves' length is tuned by the share of those accepted.

The data are z plus noise under a standard normal prior, so each particle's posterior is N(x / (1 + σ²), σ² / (1 + σ²)).
"""

import torch
from harness import ArraySource

from hypermol.engine import Contribution, Phase, Program, State, Step, generator

N, NOISE, WARM, KEPT, MOVES = 400, 0.7, 20, 120, 5


def source():
    z = torch.randn(N, generator=generator(9, "z"), dtype=torch.float64)
    return ArraySource({"x": z + NOISE * torch.randn(N, generator=generator(9, "noise"), dtype=torch.float64)})


def initialise():
    empty = {name: torch.zeros(N, dtype=torch.float64) for name in ("z", "sum", "square")}
    return State({"length": torch.tensor(10.0, dtype=torch.float64)}, empty)


def forget(state):
    return State(state.tensors, {**initialise().table, "z": state.table["z"]}, state.data)


def log_density(z, x):
    return -z.square() / 2 - (x - z).square() / (2 * NOISE**2)


def contribute(state, batch, draws):
    z, total, square = (state.table[name][batch.particle] for name in ("z", "sum", "square"))
    moves = draws.normal("moves", MOVES, dtype=torch.float64).unbind(1)
    for move, chance in zip(moves, draws.uniform("chances", MOVES, dtype=torch.float64).unbind(1)):
        moved = z + state.tensors["length"] * move
        accepted = chance.log() < log_density(moved, batch.x) - log_density(z, batch.x)
        z = torch.where(accepted, moved, z)
    totals = {"accepted": accepted.double().sum(), "count": torch.ones_like(z).sum()}
    return Contribution(totals, {"z": z, "sum": total + z, "square": square + z**2}, totals)


def tune(state, totals):
    share = totals["accepted"] / totals["count"]
    return State({"length": state.tensors["length"] * torch.exp(share - 0.44)})


def program():
    warm = Phase("warm up", (Step(contribute, tune),), passes=WARM, batch_size=200)
    kept = Phase("chains", (Step(contribute),), passes=KEPT, batch_size=N, enter=forget)
    return Program(initialise, (warm, kept))


def check(state):
    x, variance = source().rows["x"], NOISE**2 / (1 + NOISE**2)
    mean = state.table["sum"] / KEPT
    error = mean - x / (1 + NOISE**2)
    assert error.mean().abs() < 0.02
    assert error.std() < 0.1
    assert ((state.table["square"] / KEPT - mean**2).mean() / variance - 1).abs() < 0.05
