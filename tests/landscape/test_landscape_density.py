"""Density of conformations: mixtures recovered through each particle's blur, honest error bars, states and ways."""

import numpy as np
import pytest
from scipy.stats import norm

from hypermol.errors import DataError
from hypermol.landscape.basins import basins, lowest_energy_path, nearest_states
from hypermol.landscape.density import Density, Grid, deconvolved, density_grid
from hypermol.landscape.observations import Observations, calibration_notes, coverage, observations


def posteriors(z: np.ndarray, deviation: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Exact Gaussian posteriors, under the prior N(mean, covariance of z), of z [n, d] seen with noise [n, d]."""
    seen, prior = z + deviation * random.normal(size=z.shape), np.linalg.inv(np.cov(z.T).reshape(z.shape[1], -1))
    precision = prior + np.stack([np.diag(row) for row in deviation**-2.0])
    covariance = np.linalg.inv(precision)
    pull = seen / deviation**2 + prior @ z.mean(axis=0)
    return np.einsum("nab,nb->na", covariance, pull), covariance


def mixture(seed: int, count: int = 3000, dimensions: int = 2) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """Three states with 70, 20 and 10 % of the particles; z and state of each."""
    random = np.random.default_rng(seed)
    centre = np.array([[-0.8, 0.3], [1.0, 0.6], [0.9, -1.6]])[:, :dimensions]
    state = random.choice(3, count, p=[0.7, 0.2, 0.1])
    return centre[state] + 0.2 * random.normal(size=(count, dimensions)), state, random


def density_of(z: np.ndarray, deviation: np.ndarray, random: np.random.Generator, **more) -> tuple[Density, np.ndarray]:
    mean, covariance = posteriors(z, deviation, random)
    axes, origin = np.eye(z.shape[1]), np.zeros(z.shape[1])
    observed = observations(mean, covariance, axes, origin)
    spread = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    return deconvolved(observed, density_grid(mean, spread), **more), mean


def test_likelihoods_are_posteriors_over_their_prior():
    random = np.random.default_rng(0)
    z, deviation = random.normal(size=(20_000, 2)) * [1.0, 0.5] + 1, random.uniform(0.3, 1.0, (20_000, 2))
    found = observations(*posteriors(z, deviation, random), np.eye(2), np.zeros(2))
    np.testing.assert_allclose(np.diagonal(found.information, axis1=1, axis2=2), deviation**-2.0, rtol=0.05, atol=0.1)
    rebuilt = found.pull / np.diagonal(found.information, axis1=1, axis2=2)
    np.testing.assert_allclose((rebuilt - z)[:, 0].std(), np.sqrt((deviation[:, 0] ** 2).mean()), rtol=0.05)
    assert abs((rebuilt - z).mean()) < 0.02


def test_coverage_counts_what_lies_in_the_region():
    random = np.random.default_rng(1)
    z = random.normal(size=(8000, 3))
    mean, covariance = posteriors(z, random.uniform(0.5, 2, (8000, 3)), random)
    for level in (0.5, 0.9):
        assert abs(coverage(mean, covariance, z, level) - level) < 0.02
    assert coverage(mean, covariance / 4, z, 0.9) < 0.6
    assert len(calibration_notes(mean, covariance)) == 1
    assert "may be wrong" in calibration_notes(mean * 0.5, covariance / 4)[1]


def test_a_mixture_is_recovered_better_than_by_a_histogram_or_a_smoothed_one():
    z, _, random = mixture(0, dimensions=1)
    found, mean = density_of(z, random.uniform(0.3, 0.8, z.shape), random, samples=0)
    at = found.grid.axes[0]
    true = sum(p * norm.pdf(at, c, 0.2) for p, c in zip((0.7, 0.2, 0.1), (-0.8, 1.0, 0.9)))
    edges = np.append(at - found.grid.steps[0] / 2, at[-1] + found.grid.steps[0] / 2)
    histogram = np.histogram(mean[:, 0], edges, density=True)[0]
    smoothed = norm.pdf(at[:, None], mean[:, 0], 0.1).mean(axis=1)
    ours, raw, kernel = (np.abs(value - true).sum() * found.cell for value in (found.value, histogram, smoothed))
    assert ours < 0.5 * min(raw, kernel)
    assert abs(found.value.sum() * found.cell - 1) < 1e-5


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_populations_of_70_20_and_10_percent(seed: int):
    z, _, random = mixture(seed)
    found, _ = density_of(z, random.uniform(0.2, 0.6, z.shape), random, samples=10, limit=2500)
    for states in (basins(found), nearest_states(found, np.array([[-0.8, 0.3], [1.0, 0.6], [0.9, -1.6]]))):
        np.testing.assert_allclose(states.population, [0.7, 0.2, 0.1], atol=0.03)
        assert (states.error < 0.03).all()
    with pytest.raises(DataError, match="around centre 1"):
        nearest_states(found, np.array([[0.0, 0.0], [90.0, 90.0]]))


def test_error_bars_of_the_free_energy_cover_the_truth_at_their_rate():
    """24 draws of the same experiment; every node where at least a thousandth of the particles is."""
    grid, within = Grid((np.linspace(-2.6, 2.8, 50),)), ([], [])
    true = 0.65 * norm.pdf(grid.axes[0], -0.7, 0.5) + 0.35 * norm.pdf(grid.axes[0], 1.1, 0.45)
    inside = true > 0.05
    for seed in range(24):
        random = np.random.default_rng(seed)
        first = random.random(1500) < 0.65
        z = np.where(first, -0.7 + 0.5 * random.normal(size=1500), 1.1 + 0.45 * random.normal(size=1500))[:, None]
        mean, covariance = posteriors(z, random.uniform(0.2, 0.5, z.shape), random)
        observed = observations(mean, covariance, np.eye(1), np.zeros(1))
        found = deconvolved(observed, grid, samples=30, seed=seed)
        ratio = np.abs(np.log(found.value) - np.log(true))[inside] / found.error()[inside]
        within[0].append((ratio < 1).mean())
        within[1].append((ratio < 1.645).mean())
    assert 0.60 < np.mean(within[0]) < 0.76
    assert 0.84 < np.mean(within[1]) < 0.95


def test_the_way_of_lowest_energy_goes_around_a_barrier():
    """A ring with a gap on one side: the straight way crosses empty ground, the short way round crosses the gap."""
    axis = np.linspace(-2, 2, 41)
    grid = Grid((axis, axis))
    radius, angle = np.hypot(*grid.points.T), np.arctan2(grid.points[:, 1], grid.points[:, 0])
    value = np.exp(-0.5 * ((radius - 1.3) / 0.2) ** 2) * (1 - 0.999 * np.exp(-0.5 * ((angle - np.pi / 2) / 0.3) ** 2))
    density = Density(grid, value / value.sum() / 0.01, np.zeros((0, 1681)), np.zeros(1681), 1.0, 100_000)
    start, end = (int(np.argmin(np.hypot(*(grid.points - at).T))) for at in ([-1.3, 0], [1.3, 0]))
    way = lowest_energy_path(density, start, end)
    assert way.u[:, 1].min() < -1.1
    assert way.u[:, 1].max() < 0.3
    assert np.abs(np.hypot(*way.u.T) - 1.3).max() < 0.2
    assert way.barrier < 0.5
    straight = density.free_energy()[np.abs(grid.points[:, 1]) < 0.05]
    assert straight.max() > 6


def test_a_bump_within_its_error_is_no_state():
    grid = Grid((np.linspace(-3, 3, 61),))
    value = norm.pdf(grid.axes[0]) * (1 + 0.4 * np.exp(-0.5 * ((grid.axes[0] - 0.9) / 0.12) ** 2))
    random = np.random.default_rng(0)
    draws = value * np.exp(0.3 * random.normal(size=(40, 61)))
    assert basins(Density(grid, value, draws, np.zeros(61), 1.0, 5000)).count == 1
    valley = value * (1 - 0.9 * np.exp(-0.5 * ((grid.axes[0] - 0.5) / 0.1) ** 2))
    found = basins(Density(grid, valley, valley * (draws / value) ** 0.1, np.zeros(61), 1.0, 5000))
    assert found.count == 2
    assert found.population[0] > found.population[1]


def test_a_direction_that_images_do_not_see_says_nothing():
    flat = Observations(np.zeros((50, 1, 1)), np.zeros((50, 1)))
    found = deconvolved(flat, Grid((np.linspace(-1, 1, 30),)), samples=2, width=2.0)
    assert found.value.std() < 0.2 * found.value.mean()
