"""Refined posteriors, the bound and the calibration, on a linear model whose answers are known exactly."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hypermol.imaging import Lattice
from hypermol.methods.z_refinement import Posterior, evidence_bound, refine
from hypermol.particles import Batch
from hypermol.posteriors import Hypotheses
from hypermol.validation.calibration import calibration

B, D = 6, 2


class LinearVolume:
    """Every slice is z · A, the same at all poses: the posterior of z is Gaussian."""

    z_dim = D

    def __init__(self, points: int) -> None:
        generator = torch.Generator().manual_seed(1)
        self.a = torch.view_as_complex(torch.randn(D, points, 2, generator=generator))

    def slices(self, k: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return (z[..., None] * self.a).sum(-2)


@pytest.fixture
def linear() -> tuple[SimpleNamespace, Batch]:
    lattice = Lattice.disc(8)
    eye = torch.eye(3).expand(B, 3, 3)
    volume = LinearVolume(lattice.size)
    model = SimpleNamespace(
        volume=volume,
        pose=lambda batch, draws, rows: Hypotheses(rotation=eye[:, None], shift=torch.zeros(B, 1, 2)),
        compared=lambda batch: batch,
    )
    generator = torch.Generator().manual_seed(2)
    z = torch.randn(B, D, generator=generator)
    noise = torch.view_as_complex(torch.randn(B, lattice.size, 2, generator=generator)) * math.sqrt(10.0)
    batch = Batch(
        particle=torch.arange(B),
        images=((z[..., None] * volume.a).sum(-2) + noise)[:, None],
        valid=torch.ones(B, 1, dtype=torch.bool),
        ctf=torch.ones(B, 1, lattice.size),
        variance=torch.full((B, 1, lattice.size), 20.0),
        rotation=eye,
        shift=torch.zeros(B, 2),
        tilt=torch.eye(3).expand(B, 1, 3, 3),
        image_shift=torch.zeros(B, 1, 2),
        half=torch.zeros(B, dtype=torch.int64),
        lattice=lattice,
        pixel_size=1.0,
    )
    return model, batch


def exact(model: SimpleNamespace, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean [B, d] and precision [d, d] of p(z | images) under N(0, 1), by the normal equations."""
    weight = 2 * batch.lattice.weight / 20.0  # -log p is Σ w |r|²/σ²: twice that is the precision
    a = model.volume.a
    precision = torch.eye(D) + ((a * weight) @ a.conj().T).real
    right = ((batch.images[:, 0] * weight) @ a.conj().T).real
    return torch.linalg.solve(precision, right.T).T, precision


def test_refining_finds_the_posterior(linear: tuple[SimpleNamespace, Batch]):
    model, batch = linear
    mean, precision = exact(model, batch)
    point = refine(model, batch, None, steps=300)
    torch.testing.assert_close(point.mean, mean, atol=0.02, rtol=0)
    assert point.variance is None
    start = Posterior(torch.zeros(B, D), torch.ones(B, D))
    found = refine(model, batch, start, steps=400)
    torch.testing.assert_close(found.mean, mean, atol=0.05, rtol=0)
    # the best factorised Gaussian has the inverse of the precision's diagonal for variance
    torch.testing.assert_close(found.variance, (1 / precision.diagonal()).expand(B, D), rtol=0.15, atol=0)


def test_the_bound_is_below_the_evidence_and_refining_raises_it(linear: tuple[SimpleNamespace, Batch]):
    model, batch = linear
    mean, precision = exact(model, batch)
    a, weight = model.volume.a, batch.lattice.weight / 20.0
    residual = batch.images[:, 0] - (mean[..., None] * a).sum(-2)
    fit = (residual.abs().square() * weight).sum(-1)
    evidence = -fit - 0.5 * mean.square().sum(-1) - 0.5 * torch.logdet(precision)
    start = Posterior(torch.zeros(B, D), torch.ones(B, D))
    best = refine(model, batch, start, steps=400)
    poor, good = (evidence_bound(model, batch, q, 400)["elbo"] for q in (start, best))
    assert (good < evidence + 0.2).all()
    assert (good > poor).all()
    factorised = 0.5 * (precision.diagonal().log().sum() - torch.logdet(precision))  # what independence costs
    torch.testing.assert_close(evidence - good, factorised.expand(B), atol=0.3, rtol=0)


def test_calibration_of_errors_of_known_width():
    errors = np.random.default_rng(0).normal(size=(5000, 2))
    right = calibration(errors, np.array([0.2, 0.5]))
    assert right["width"] == pytest.approx(1, abs=0.03)
    assert right["within_one_sigma"] == pytest.approx(0.683, abs=0.02)
    narrow = calibration(3 * errors, np.array([0.2, 0.99]))
    assert narrow["width"] == pytest.approx(3, abs=0.1)
    assert narrow["used"] == 1
    assert calibration(errors, np.array([1.0, 1.0]))["width"] is None
