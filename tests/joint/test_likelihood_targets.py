"""The fast likelihood in a basis against the forward model of any volume; draws of coefficients against algebra."""

import dataclasses

import numpy as np
import pytest
import torch
from tiny_posterior import Tiny

from hypermol.engine import generator
from hypermol.imaging import rotvec_to_matrix
from hypermol.joint import CoefficientPosterior, VolumeTarget, drawn_powers, normal_equations
from hypermol.objectives import predicted_images
from hypermol.volumes import HarmonicBasis

PAIR = (None, rotvec_to_matrix(torch.tensor([0.6, 0.0, 0.0], dtype=torch.float64)))
CIRCLE = HarmonicBasis(z_dim=2, domain="circle", shells=3, motion=1.0)


@pytest.mark.parametrize("more", [{}, {"tilts": PAIR}, {"spec": CIRCLE}], ids=["single", "tilt pair", "circle"])
def test_two_routes_to_the_likelihood(more):
    tiny = Tiny(5, seed=3, **more)
    at = tiny.from_prior(4, "elsewhere")
    there = [value[:, None] for value in (at.rotation, at.shift, at.z)]  # one chain, four candidates
    fast, plain = tiny.target(), VolumeTarget(tiny.volume, tiny.batch)
    found, direct = fast.log_likelihood(*there), plain.log_likelihood(*there)
    constant = found[:, :, :1] - direct[:, :, :1]
    torch.testing.assert_close(found - constant, direct, rtol=1e-8, atol=1e-8)
    z = at.z[:, None]
    for target in (fast, plain):
        of_z = target.of_conformation(at.rotation[:, :1], at.shift[:, :1])(z)
        every = target.log_likelihood(there[0][:, :, :1].expand_as(there[0]), there[1][:, :, :1].expand_as(there[1]), z)
        torch.testing.assert_close(of_z, every, rtol=1e-8, atol=1e-8)


def test_chains_have_their_own_volumes():
    tiny = Tiny(4, seed=2)
    target, at = tiny.target(2), tiny.from_prior(2, "x")
    louder = dataclasses.replace(target, coefficients=target.coefficients * torch.tensor([1.0, 3.0])[:, None, None])
    args = [value[:, :, None] for value in (at.rotation, at.shift, at.z)]
    first, second = target.log_likelihood(*args), louder.log_likelihood(*args)
    torch.testing.assert_close(first[:, 0], second[:, 0])
    assert (first[:, 1] - second[:, 1]).abs().min() > 1e-3


@pytest.mark.parametrize("tilts", [(None,), PAIR], ids=["single", "tilt pair"])
def test_posterior_of_the_coefficients_is_that_of_least_squares(tilts):
    """The images as a linear function of the coefficients, column by column through the forward model."""
    tiny = Tiny(30, seed=5, tilts=tilts)
    variance = tiny.spec.variance(tiny.context)
    sums = normal_equations(tiny.target(), tiny.placed(tiny.truth, tiny.target()))
    posterior = CoefficientPosterior.of(sums, variance[None])
    shape, columns = tiny.volume.coefficients.shape, []
    hypotheses = tiny.truth.hypotheses()
    with torch.no_grad():
        for place in range(shape.numel()):
            unit = torch.zeros(shape.numel(), dtype=torch.float64)
            unit[place] = 1
            tiny.volume.coefficients.copy_(unit.view(shape))
            columns.append(torch.view_as_real(predicted_images(tiny.volume, hypotheses, tiny.batch)[:, 0]).flatten())
    matrix = torch.stack(columns, 1).numpy()
    weight = (2 * tiny.batch.lattice.weight / tiny.noise).repeat_interleave(2).repeat(30 * len(tilts)).numpy()
    precision = matrix.T @ (weight[:, None] * matrix) + np.diag(1 / variance.flatten().numpy())
    exact = np.linalg.solve(precision, matrix.T @ (weight * torch.view_as_real(tiny.batch.images).flatten().numpy()))
    found = torch.cat([posterior.mean[p].unflatten(1, (3, -1)) for p in ("even", "odd")], 2)
    np.testing.assert_allclose(found.flatten(), exact, atol=1e-8 * np.abs(exact).max())
    draws = torch.stack([posterior.drawn(generator(0, "draw", i))[0].flatten() for i in range(3000)]).numpy()
    spread = np.sqrt(np.diag(np.linalg.inv(precision)))
    np.testing.assert_allclose((draws.mean(0) - exact) / spread, 0, atol=0.09)  # 5 standard errors
    whitened = (draws - exact) @ np.linalg.cholesky(precision)
    np.testing.assert_allclose(np.cov(whitened.T), np.eye(shape.numel()), atol=0.12)


def test_powers_are_drawn_from_their_posterior():
    """Inverse-gamma of shape 3 + N/2: its mean, and its spread."""
    coefficients = torch.tensor([2.0, 0.5])[None, :, None] * torch.ones(1, 2, 40, dtype=torch.float64)
    variance = torch.ones(2, 40, dtype=torch.float64)
    draws = torch.stack([drawn_powers(coefficients, variance, seed)[0] for seed in range(4000)])
    shape, rate = 3 + 20, torch.tensor([2 + 20 * 4.0, 2 + 20 * 0.25])
    mean = rate / (shape - 1)
    torch.testing.assert_close(draws.mean(0), mean.double(), rtol=0.02, atol=0)
    torch.testing.assert_close(draws.std(0), (mean / (shape - 2) ** 0.5).double(), rtol=0.06, atol=0)
