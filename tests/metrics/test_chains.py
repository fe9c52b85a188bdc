"""Diagnostics of Markov chains against autoregressive chains, whose answer is known."""

import pytest
import torch

from hypermol.metrics import effective_sample_size, split_rhat


def autoregressive(memory, *shape, seed=0):
    """Stationary chains x_t = memory x_{t-1} + noise of unit variance."""
    noise = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    chain = noise.clone()
    for t in range(1, shape[-1]):
        chain[..., t] = memory * chain[..., t - 1] + (1 - memory**2) ** 0.5 * noise[..., t]
    return chain


@pytest.mark.parametrize("memory", [-0.3, 0.0, 0.5, 0.9])
def test_effective_sample_size_of_an_autoregressive_chain(memory):
    found = effective_sample_size(autoregressive(memory, 150, 4, 400))
    assert abs(float(found.mean()) / (1600 * (1 - memory) / (1 + memory)) - 1) < 0.08


def test_rhat_by_hand():
    samples = torch.tensor([[0.0, 1.0, 2.0, 5.0], [1.0, 3.0, 2.0, 2.0]], dtype=torch.float64)
    halves = torch.stack([samples[0, :2], samples[0, 2:], samples[1, :2], samples[1, 2:]])
    within, between = halves.var(1).mean(), 2 * halves.mean(1).var()
    expected = ((0.5 * within + between / 2) / within) ** 0.5
    torch.testing.assert_close(split_rhat(samples), expected)


def test_rhat_tells_chains_apart_and_drift():
    alike = autoregressive(0.3, 100, 2, 200)
    assert float(split_rhat(alike).mean()) < 1.02
    assert float(split_rhat(alike + torch.tensor([0.0, 2.0])[:, None]).mean()) > 1.3
    assert float(split_rhat(alike + torch.linspace(0, 3, 200)).mean()) > 1.1
    apart = effective_sample_size(alike + torch.tensor([0.0, 4.0])[:, None])
    assert float(apart.mean()) < 20


def test_what_does_not_vary_has_no_answer():
    still = torch.ones(3, 2, 10, dtype=torch.float64)
    assert split_rhat(still).isnan().all()
    assert effective_sample_size(still).isnan().all()
    assert split_rhat(torch.rand(3, 2, 3, dtype=torch.float64)).isnan().all()
