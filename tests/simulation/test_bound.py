"""The information bound: against brute force, and by its own calibration."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import spearmanr

from hypermol.errors import ConfigError
from hypermol.particles import StackReader
from hypermol.simulation import Recipe, Truth, log_likelihood, project_gaussians, simulate


def brute_force(truth, points, particle):
    """-Σ|x - image|²/2σ² with every atom projected afresh."""
    images = np.flatnonzero(truth.image_particle == particle)
    pixels = StackReader(truth.folder / "particles.mrcs").read(images)
    values = np.zeros(len(points))
    for index, point in enumerate(points):
        positions, weights = truth.motion.atoms(np.repeat(point[None], len(images), axis=0))
        rotations, shifts = truth.image_poses(images)
        transfer = truth.camera.transfer(truth.ctf[images])
        model = project_gaussians(positions, weights, rotations, shifts, truth.camera, transfer).numpy()
        values[index] = -0.5 * np.sum((pixels - truth.scale * model) ** 2, dtype=np.float64)
    return values / truth.noise_variance


def test_likelihood_is_the_definition(hinge_truth):
    points = np.array([[-20.0], [3.0], [14.0]])
    found = log_likelihood(hinge_truth, points, np.array([4, 17]))
    for row, particle in zip(found, (4, 17)):
        np.testing.assert_allclose(row, brute_force(hinge_truth, points, particle), rtol=1e-5)


def test_the_posterior_is_calibrated(hinge_truth):
    posterior = hinge_truth.posterior_mean()
    truth = hinge_truth.conformation[:, 0]
    assert posterior.mean.shape == (60,)
    np.testing.assert_allclose(posterior.probability.sum(1), 1.0)
    variance = np.sum(posterior.probability * (posterior.grid - posterior.mean[:, None]) ** 2, axis=1)
    assert 0.6 < np.mean((posterior.mean - truth) ** 2 / variance) < 1.6
    assert spearmanr(posterior.mean, truth).statistic > 0.98


def test_less_signal_says_less(hinge_truth, tmp_path):
    recipe = Recipe.named("hinge", n=60, box=32, snr=0.02, shift_px=2.0, seed=3)
    poor = Truth.load(simulate(recipe, tmp_path / "poor")).posterior_mean()
    truth = hinge_truth.conformation[:, 0]
    rich = hinge_truth.posterior_mean()
    assert np.mean((poor.mean - truth) ** 2) > 3 * np.mean((rich.mean - truth) ** 2)
    assert np.abs(poor.mean).max() < 30.0


def test_tilt_pairs_add_up(tmp_path):
    recipe = Recipe.named("linear1d", n=8, box=32, snr=0.5, tilts_deg=(0.0, 45.0))
    truth = Truth.load(simulate(recipe, tmp_path / "pairs"))
    points = truth.motion.states()[::12]
    np.testing.assert_allclose(
        log_likelihood(truth, points, np.array([5]))[0], brute_force(truth, points, 5), rtol=1e-5
    )
    posterior = truth.posterior_mean()
    np.testing.assert_array_equal(posterior.grid, truth.motion.states()[:, 0])
    assert np.abs(posterior.mean - truth.conformation[:, 0]).mean() < 6.0


def test_means_on_a_circle_are_directions(tmp_path):
    recipe = Recipe.named("circular1d", n=24, box=32, snr=1.0, levels=0)
    truth = Truth.load(simulate(recipe, tmp_path / "circle"))
    posterior = truth.posterior_mean(points=90)
    error = (posterior.mean - truth.conformation[:, 0] + 180) % 360 - 180
    assert np.abs(error).max() < 12.0
    assert ((posterior.mean >= 0) & (posterior.mean < 360)).all()


def test_states_can_be_told(tmp_path):
    truth = Truth.load(simulate(Recipe.named("discrete10", n=20, box=32, snr=0.5), tmp_path / "states"))
    values = log_likelihood(truth, truth.motion.states(), np.arange(20))
    np.testing.assert_array_equal(values.argmax(1), truth.state)
    with pytest.raises(ConfigError, match="one angle"):
        truth.posterior_mean()


def test_without_noise_there_is_no_likelihood(hinge_truth):
    clean = dataclasses.replace(hinge_truth, noise_variance=0.0)
    with pytest.raises(ConfigError, match="no noise"):
        clean.posterior_mean()
