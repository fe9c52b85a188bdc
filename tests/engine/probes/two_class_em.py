"""Two-class expectation maximisation: a mixture of two Gaussians with unknown means, weights and noise."""

import torch
from harness import ArraySource

from hypermol.engine import Contribution, Phase, Program, State, Step, generator

N, D, NOISE = 1200, 12, 0.8


def truth():
    means = torch.randn(2, D, generator=generator(1, "means"), dtype=torch.float64)
    label = (torch.rand(N, generator=generator(1, "label")) < 0.3).long()
    return means, label


def source():
    means, label = truth()
    noise = torch.randn(N, D, generator=generator(1, "noise"), dtype=torch.float64)
    return ArraySource({"x": means[label] + NOISE * noise})


def initialise():
    start = torch.randn(2, D, generator=generator(2, "start"), dtype=torch.float64)
    weight = torch.full((2,), 0.5, dtype=torch.float64)
    return State({"means": start, "weight": weight, "variance": torch.ones((), dtype=torch.float64)})


def contribute(state, batch, draws):
    t = state.tensors
    square = (batch.x[:, None] - t["means"]).square().sum(-1)
    log_joint = t["weight"].log() - square / (2 * t["variance"]) - D / 2 * t["variance"].log()
    share = log_joint.softmax(1)
    totals = {"count": share.sum(0), "sum": share.T @ batch.x, "square": batch.x.square().sum()}
    return Contribution(totals, {"class": share}, {"log_likelihood": log_joint.logsumexp(1).sum()})


def apply(state, totals):
    means = totals["sum"] / totals["count"][:, None]
    left = totals["square"] - (totals["count"][:, None] * means.square()).sum()
    total = totals["count"].sum()
    state.tensors = {"means": means, "weight": totals["count"] / total, "variance": left / (total * D)}
    return state


def program():
    phase = Phase("expectation maximisation", (Step(contribute, apply),), passes=12, batch_size=250, apply_every=None)
    return Program(initialise, (phase,))


def check(state):
    means, label = truth()
    swap = int((state.tensors["means"][0] - means[1]).norm() < (state.tensors["means"][0] - means[0]).norm())
    order = [1, 0] if swap else [0, 1]
    assert (state.tensors["means"][order] - means).abs().max() < 0.15
    assert (state.tensors["weight"][order][1] - label.double().mean()).abs() < 0.02
    assert (state.tensors["variance"].sqrt() - NOISE).abs() < 0.02
    assert (state.table["class"][:, order].argmax(1) == label).double().mean() > 0.97
