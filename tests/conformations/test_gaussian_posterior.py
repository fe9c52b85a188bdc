"""The closed-form posterior of z and contrast, against brute force on a grid and against the model's own draws."""

import numpy as np
import torch

from hypermol.conformations import gaussian_posterior, truncated


def drawn(count: int, components: int, contrast_deviation: float, seed: int = 0) -> dict[str, torch.Tensor]:
    """Particles of the model: slices, true z and contrast, Gram matrices and projections (unit noise)."""
    generator = torch.Generator().manual_seed(seed)
    slices = torch.randn(count, 30, components + 1, generator=generator, dtype=torch.float64)
    slices[..., 0] *= 3
    z = torch.randn(count, components, generator=generator, dtype=torch.float64)
    contrast = 1 + contrast_deviation * torch.randn(count, generator=generator, dtype=torch.float64)
    clean = slices[..., 0] + (slices[..., 1:] * z[:, None]).sum(-1)
    images = contrast[:, None] * clean + torch.randn(count, 30, generator=generator, dtype=torch.float64)
    gram = torch.einsum("npa,npb->nab", slices, slices)
    projection = torch.einsum("npa,np->na", slices, images)
    return {"slices": slices, "images": images, "z": z, "contrast": contrast, "gram": gram, "projection": projection}


def test_mean_covariance_and_evidence_are_those_of_numerical_integration() -> None:
    data = drawn(3, 1, 0.0)
    found = gaussian_posterior(data["gram"], data["projection"])
    grid = np.linspace(-8, 8, 20001)
    for i in range(3):
        slices, image = data["slices"][i].numpy(), data["images"][i].numpy()
        clean = slices[:, :1] + slices[:, 1:] * grid
        log_joint = -0.5 * ((image[:, None] - clean) ** 2).sum(0) - 0.5 * grid**2 - 0.5 * np.log(2 * np.pi)
        log_empty = -0.5 * (image**2).sum()
        weight = np.exp(log_joint - log_joint.max())
        mean = (weight * grid).sum() / weight.sum()
        variance = (weight * (grid - mean) ** 2).sum() / weight.sum()
        evidence = np.log(weight.sum() * (grid[1] - grid[0])) + log_joint.max() - log_empty
        np.testing.assert_allclose(float(found.mean[i, 0]), mean, atol=1e-8)
        np.testing.assert_allclose(float(found.covariance[i, 0, 0]), variance, rtol=1e-6)
        np.testing.assert_allclose(float(found.log_evidence[i]), evidence, rtol=1e-9)


def test_posterior_covers_the_truth_as_often_as_it_says() -> None:
    data = drawn(4000, 3, 0.0)
    found = gaussian_posterior(data["gram"], data["projection"])
    error = data["z"] - found.mean
    distance = torch.einsum("ni,nij,nj->n", error, torch.linalg.inv(found.covariance), error)
    inside = float((distance < 6.251).double().mean())  # 90 % of chi² with 3 degrees of freedom
    assert abs(inside - 0.9) < 0.02


def test_contrast_is_found_and_makes_z_better_than_ignoring_it() -> None:
    data = drawn(3000, 2, 0.2)
    found = gaussian_posterior(data["gram"], data["projection"], contrast_variance=0.04)
    ignored = gaussian_posterior(data["gram"], data["projection"])
    assert np.corrcoef(found.contrast, data["contrast"])[0, 1] > 0.9
    assert (found.mean - data["z"]).square().mean() < 0.8 * (ignored.mean - data["z"]).square().mean()
    assert found.log_evidence.mean() > ignored.log_evidence.mean()


def test_moments_are_those_of_draws_from_the_posterior() -> None:
    data = drawn(2, 2, 0.2)
    found = gaussian_posterior(data["gram"], data["projection"], contrast_variance=0.04)
    generator = torch.Generator().manual_seed(1)
    count = 400_000
    factor = torch.linalg.cholesky(found.covariance[0])
    z = found.mean[0] + torch.randn(count, 2, generator=generator, dtype=torch.float64) @ factor.T
    noise = torch.randn(count, generator=generator, dtype=torch.float64)
    extended = torch.cat([torch.ones(count, 1, dtype=torch.float64), z], 1)
    extended = (found.contrast[0] + found.contrast_variance[0].sqrt() * noise)[:, None] * extended
    first, second = found.moments()
    torch.testing.assert_close(first[0], extended.mean(0), atol=5e-3, rtol=0)
    torch.testing.assert_close(second[0], extended.T @ extended / count, atol=1e-2, rtol=0)


def test_no_component_is_the_likelihood_ratio_of_the_mean_alone() -> None:
    data = drawn(5, 2, 0.0)
    found = gaussian_posterior(*truncated(data["gram"], data["projection"], 0))
    assert found.mean.shape == (5, 0)
    empty = data["images"].square().sum(1) / 2
    rigid = (data["images"] - data["slices"][..., 0]).square().sum(1) / 2
    torch.testing.assert_close(found.log_evidence, empty - rigid)


def test_a_component_that_is_nothing_changes_nothing_whether_or_not_contrast_is_inferred() -> None:
    data = drawn(5, 1, 0.2)
    gram, projection = data["gram"].clone(), data["projection"].clone()
    gram[:, 1], gram[:, :, 1], projection[:, 1] = 0, 0, 0
    for variance in (0.0, 0.04):
        without = gaussian_posterior(*truncated(gram, projection, 0), variance)
        with_it = gaussian_posterior(gram, projection, variance)
        torch.testing.assert_close(with_it.log_evidence, without.log_evidence)
        torch.testing.assert_close(with_it.contrast, without.contrast)
        torch.testing.assert_close(with_it.moments()[0][:, :1], without.moments()[0])
