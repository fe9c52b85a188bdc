"""The closed-form posterior of class and contrast, against brute force on a grid and against the model's own draws."""

import numpy as np
import torch

from hypermol.conformations import class_evidence, class_posterior


def drawn(count: int, classes: int, contrast_deviation: float, seed: int = 0) -> dict[str, torch.Tensor]:
    """Particles of the model (unit noise): class, contrast, and what their images say of each class."""
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(classes, 30, generator=generator, dtype=torch.float64) + 1
    weights = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)[:classes]
    label = torch.multinomial(weights, count, replacement=True, generator=generator)
    contrast = 1 + contrast_deviation * torch.randn(count, generator=generator, dtype=torch.float64)
    slices = maps * (0.4 + 0.2 * torch.rand(count, 1, 30, generator=generator, dtype=torch.float64))
    noise = torch.randn(count, 30, generator=generator, dtype=torch.float64)
    images = contrast[:, None] * slices[torch.arange(count), label] + noise
    power, overlap = slices.square().sum(-1), (slices * images[:, None]).sum(-1)
    found = {"slices": slices, "images": images, "label": label, "contrast": contrast}
    return {**found, "power": power, "overlap": overlap, "weights": weights}


def test_probability_contrast_and_evidence_are_those_of_numerical_integration() -> None:
    data, variance = drawn(4, 3, 0.3), 0.09
    found = class_posterior(data["power"], data["overlap"], data["weights"], variance)
    contrast = np.linspace(-4, 6, 20001)
    step = contrast[1] - contrast[0]
    for i in range(4):
        image, joint, means = data["images"][i].numpy(), [], []
        for c in range(3):
            clean = data["slices"][i, c].numpy()
            log_density = -0.5 * ((image[:, None] - clean[:, None] * contrast) ** 2).sum(0) + 0.5 * (image**2).sum()
            log_density += -0.5 * (contrast - 1) ** 2 / variance - 0.5 * np.log(2 * np.pi * variance)
            density = np.exp(log_density)
            joint.append(float(data["weights"][c]) * density.sum() * step)
            mean = (density * contrast).sum() / density.sum()
            means.append([mean, (density * (contrast - mean) ** 2).sum() / density.sum()])
        np.testing.assert_allclose(found.probability[i], np.array(joint) / sum(joint), rtol=1e-8)
        np.testing.assert_allclose(float(found.log_evidence[i]), np.log(sum(joint)), rtol=1e-8)
        np.testing.assert_allclose(torch.stack([found.contrast[i], found.contrast_variance[i]], 1), means, rtol=1e-6)


def test_a_contrast_that_hardly_varies_is_one_that_does_not() -> None:
    data = drawn(5, 3, 0.0)
    exact, nearly = (class_evidence(data["power"], data["overlap"], v) for v in (0.0, 1e-10))
    torch.testing.assert_close(exact, nearly, rtol=1e-6, atol=1e-6)


def test_probabilities_come_true_as_often_as_they_say() -> None:
    data = drawn(20000, 3, 0.2)
    found = class_posterior(data["power"], data["overlap"], data["weights"], 0.04).probability
    surest, guess = found.max(1)
    right = (guess == data["label"]).double()
    assert 0.6 < float(right.mean()) < 0.97
    for low, high in ((0.4, 0.6), (0.6, 0.8), (0.8, 0.95), (0.95, 1.0)):
        some = (surest >= low) & (surest < high)
        assert abs(float(right[some].mean() - surest[some].mean())) < 4 * 0.5 / float(some.sum()) ** 0.5


def test_moments_are_those_of_draws_from_the_posterior() -> None:
    data, generator = drawn(3, 3, 0.2), torch.Generator().manual_seed(1)
    found = class_posterior(data["power"], data["overlap"], data["weights"], 0.04)
    first, second = found.moments()
    label = torch.multinomial(found.probability, 200000, replacement=True, generator=generator)
    normal = torch.randn(label.shape, generator=generator, dtype=torch.float64)
    contrast = found.contrast.gather(1, label) + found.contrast_variance.sqrt().gather(1, label) * normal
    for c in range(3):
        own = (label == c).double()
        torch.testing.assert_close((own * contrast).mean(1), first[:, c], atol=0.005, rtol=0)
        torch.testing.assert_close((own * contrast**2).mean(1), second[:, c], atol=0.005, rtol=0)
    torch.testing.assert_close(found.mean_contrast(), first.sum(1))
