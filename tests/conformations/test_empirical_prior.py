"""The posterior under the learned distribution: against a grid, a normal truth, and a curve that a normal blurs."""

import pytest
import torch

from hypermol.conformations.empirical import WIDTH, EmpiricalPrior, learned_posteriors


def normal_posteriors(z: torch.Tensor, noise: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and covariance under N(0, 1) of z seen with an isotropic error."""
    seen = z + noise * torch.randn(z.shape, generator=torch.Generator().manual_seed(seed), dtype=z.dtype)
    variance = noise**2 / (1 + noise**2)
    return seen / (1 + noise**2), variance * torch.eye(z.shape[1], dtype=z.dtype).expand(len(z), -1, -1)


def test_equals_a_sum_over_a_grid() -> None:
    prior = EmpiricalPrior(torch.tensor([[-1.0], [0.2], [1.5]]).double(), torch.tensor([0.2, 0.5, 0.3]).double().log())
    mean, covariance = torch.tensor([[0.3], [-0.7]]).double(), torch.tensor([[[0.2]], [[0.05]]]).double()
    found, spread = prior.posterior(mean, covariance)
    grid = torch.linspace(-4, 4, 80001, dtype=torch.float64)
    density = (prior.log_weight.exp() * torch.exp(-((grid[:, None] - prior.atoms[:, 0]) ** 2) / (2 * WIDTH**2))).sum(1)
    for row in range(2):
        log_likelihood = -((grid - mean[row]) ** 2) / (2 * covariance[row, 0]) + grid**2 / 2
        weight = density * torch.exp(log_likelihood - log_likelihood.max())
        weight /= weight.sum()
        expected = (weight * grid).sum()
        assert float(found[row]) == pytest.approx(float(expected), abs=1e-6)
        assert float(spread[row]) == pytest.approx(float((weight * (grid - expected) ** 2).sum()), abs=1e-6)


def test_costs_next_to_nothing_where_the_normal_prior_is_right() -> None:
    z = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mean, covariance = normal_posteriors(z, 0.5, 1)
    error = (learned_posteriors(mean, covariance)["z"] - z).square().mean()
    assert float(error / (mean - z).square().mean()) < 1.05


def test_a_curve_is_learned_and_its_uncertainty_is_right() -> None:
    angle = 2 * torch.rand(4000, generator=torch.Generator().manual_seed(2), dtype=torch.float64) - 1
    z = torch.stack([3**0.5 * angle, 1.25**0.5 * (3 * angle**2 - 1)], 1)  # unit variance, uncorrelated
    mean, covariance = normal_posteriors(z, 0.5, 3)
    rows = learned_posteriors(mean, covariance)
    error = rows["z"] - z
    assert float(error.square().mean() / (mean - z).square().mean()) < 0.65
    curve = torch.linspace(-1, 1, 2001, dtype=torch.float64)
    places = torch.stack([3**0.5 * curve, 1.25**0.5 * (3 * curve**2 - 1)], 1)
    seen = 1.25 * mean  # what was drawn
    best = torch.softmax(-torch.cdist(seen, places).square() / (2 * 0.25), 1) @ places  # with the true prior
    assert float(error.square().mean() / (best - z).square().mean()) < 1.03
    stated = rows["z_covariance"].diagonal(dim1=1, dim2=2).mean(0)
    torch.testing.assert_close(stated, error.square().mean(0), rtol=0.15, atol=0)
    torch.testing.assert_close(rows["z_normal"], mean)
