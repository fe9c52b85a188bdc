"""Moments: a signal seen only under unknown cyclic shifts and noise, from its mean, power spectrum and bispectrum.

No shift is ever inferred. One pass gathers the invariants; the update removes the noise's share and marches through the
frequencies (Bendory et al. 2018, section III).
"""

import torch
from harness import ArraySource

from hypermol.engine import Contribution, Phase, Program, State, Step, generator

N, L, NOISE = 20000, 9, 0.5
SUMS = (torch.arange(L)[:, None] + torch.arange(L)) % L


def truth():
    return torch.tensor([1.0, 3.0, -0.5, 0.2, 2.0, -1.5, 0.4, 1.2, -2.0], dtype=torch.float64)


def source():
    shift = torch.randint(L, (N, 1), generator=generator(8, "shift"))
    clean = truth()[(torch.arange(L) - shift) % L]
    return ArraySource({"x": clean + NOISE * torch.randn(N, L, generator=generator(8, "noise"), dtype=torch.float64)})


def contribute(state, batch, draws):
    f = torch.fft.fft(batch.x)
    bispectrum = torch.einsum("bi,bj,bij->ij", f, f, f.conj()[:, SUMS])
    totals = {"mean": f[:, 0].real.sum(), "power": f.abs().square().sum(0), "bispectrum": bispectrum}
    return Contribution({**totals, "count": torch.tensor(len(f), dtype=torch.float64)})


def apply(state, totals):
    n = totals["count"]
    mean, power = totals["mean"] / n, (totals["power"] / n - L * NOISE**2).clamp(min=0)
    turn = torch.eye(L, dtype=torch.bool)
    noise = L * NOISE**2 * mean * (turn[0][:, None].double() + turn[0].double() + (SUMS == 0).double())
    bispectrum = totals["bispectrum"] / n - noise
    f = torch.zeros(L, dtype=torch.complex128)
    f[0], f[1] = mean, power[1].sqrt()  # the phase of f[1] is the unknown shift
    for k in range(2, L // 2 + 1):
        votes = sum(f[i] * f[k - i] * bispectrum[i, k - i].conj() for i in range(1, k))
        f[k] = power[k].sqrt() * votes / votes.abs()
    f[L // 2 + 1 :] = f[1 : L // 2 + 1].conj().flip(0)
    return State({"transform": f})


def program():
    phase = Phase("invariants", (Step(contribute, apply),), passes=1, batch_size=2500, apply_every=None)
    return Program(State, (phase,))


def check(state):
    turns = torch.arange(0, L, 0.01, dtype=torch.float64)[:, None]
    k = torch.fft.fftfreq(L, 1 / L).double()
    moved = torch.fft.ifft(state.tensors["transform"] * torch.exp(2j * torch.pi * turns * k / L)).real
    error = (moved - truth()).norm(dim=1).min() / truth().norm()
    assert error < 0.03
