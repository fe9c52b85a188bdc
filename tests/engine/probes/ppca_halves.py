"""Probabilistic PCA by expectation maximisation, each half against its own model; the answer is known in closed form.

Tipping & Bishop 1999, eq. 7-8: leading eigenvectors of the covariance, the mean of the other eigenvalues as noise.
"""

import torch
from harness import ArraySource

from hypermol.engine import Contribution, Phase, Program, State, Step, generator

N, D, Q = 900, 10, 2
FACTORS = torch.randn(D, Q, generator=generator(3, "factors"), dtype=torch.float64) * torch.tensor([1.5, 0.8])


def source():
    half = torch.randint(2, (N,), generator=generator(3, "half"))
    z = torch.randn(N, Q, generator=generator(3, "z"), dtype=torch.float64)
    noise = torch.randn(N, D, generator=generator(3, "noise"), dtype=torch.float64)
    return ArraySource({"x": z @ FACTORS.T + 0.5 * noise, "half": half})


def initialise():
    start = torch.randn(2, D, Q, generator=generator(4, "start"), dtype=torch.float64)
    return State({"factors": start, "variance": torch.ones(2, dtype=torch.float64)})


def contribute(state, batch, draws):
    factors, variance = (state.tensors[name][batch.half] for name in ("factors", "variance"))
    inverse = torch.linalg.inv(factors.mT @ factors + variance[:, None, None] * torch.eye(Q, dtype=torch.float64))
    z = (inverse @ factors.mT @ batch.x[..., None]).squeeze(-1)
    covariance = variance[:, None, None] * inverse
    mine = torch.nn.functional.one_hot(batch.half, 2).double()
    moment = z[:, :, None] * z[:, None] + covariance
    totals = {"xz": torch.einsum("bh,bd,bq->hdq", mine, batch.x, z), "xx": mine.T @ batch.x.square().sum(1)}
    totals |= {"zz": torch.einsum("bh,bpq->hpq", mine, moment), "count": mine.sum(0)}
    return Contribution(totals, {"z": z, "z_covariance": covariance})


def apply(state, totals):
    factors = torch.linalg.solve(totals["zz"], totals["xz"], left=False)
    left = totals["xx"] - (totals["xz"] * factors).sum((1, 2))
    return State({"factors": factors, "variance": left / (totals["count"] * D)})


def program():
    return Program(initialise, (Phase("passes", (Step(contribute, apply),), 60, batch_size=450, apply_every=None),))


def check(state):
    rows = source().rows
    own = torch.linalg.qr(state.tensors["factors"]).Q
    for half in (0, 1):
        x = rows["x"][rows["half"] == half]
        value, vector = torch.linalg.eigh(x.T @ x / len(x))
        assert torch.linalg.svdvals(vector[:, -Q:].T @ own[half]).min() > 1 - 1e-6
        assert (state.tensors["variance"][half] / value[:-Q].mean() - 1).abs() < 1e-3
    assert 0.98 < torch.linalg.svdvals(own[0].T @ own[1]).min() < 1 - 1e-4  # two models, not one
    assert torch.linalg.svdvals(torch.linalg.qr(FACTORS).Q.T @ own[0]).min() > 0.98
