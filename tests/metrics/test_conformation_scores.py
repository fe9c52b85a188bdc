"""Scores of z against scipy, scikit-learn and cases solved by hand."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from hypermol.errors import DataError
from hypermol.metrics import (
    best_direction,
    circular_direction,
    circular_spearman,
    r_squared,
    spearman,
    state_accuracy,
)


@pytest.fixture
def latent():
    rng = np.random.default_rng(0)
    truth = rng.uniform(-30, 30, size=400)
    z = np.outer(np.tanh(truth / 20), rng.normal(size=5)) + 0.3 * rng.normal(size=(400, 5))
    return z, truth, np.arange(400) % 2 == 0


def test_spearman_is_scipys_with_ties():
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 20, size=200).astype(float), rng.normal(size=200)
    assert spearman(a, a + 5 * b) == pytest.approx(spearmanr(a, a + 5 * b).statistic, abs=1e-12)
    assert spearman(a, -(a**3)) == pytest.approx(-1.0)
    assert spearman(np.ones(5), np.arange(5.0)) == 0.0


def test_best_direction_is_least_squares_scored_on_the_other_half(latent):
    z, truth, fit = latent
    predicted = LinearRegression().fit(z[fit], truth[fit]).predict(z[~fit])
    found = best_direction(z, truth, fit)
    assert found.spearman == pytest.approx(abs(spearmanr(predicted, truth[~fit]).statistic), abs=1e-10)
    assert found.r_squared == pytest.approx(r2_score(truth[~fit], predicted), abs=1e-10)
    assert r_squared(predicted, truth[~fit]) == pytest.approx(found.r_squared)


def test_scores_do_not_depend_on_the_frame_of_z(latent):
    z, truth, fit = latent
    rng = np.random.default_rng(2)
    moved = z @ rng.normal(size=(5, 5)) * 40 + 7
    first, second = best_direction(z, truth, fit), best_direction(moved, truth, fit)
    assert second.spearman == pytest.approx(first.spearman, abs=1e-9)
    assert second.r_squared == pytest.approx(first.r_squared, abs=1e-9)


def test_no_information_scores_nothing():
    """A fit on one half cannot help itself on the other: many useless dimensions do not raise the score."""
    rng = np.random.default_rng(3)
    truth = rng.normal(size=2000)
    found = best_direction(rng.normal(size=(2000, 50)), truth, np.arange(2000) < 1000)
    assert found.spearman < 0.1
    assert found.r_squared < 0.01
    angle = rng.uniform(0, 360, 2000)
    assert circular_direction(rng.normal(size=(2000, 3)), angle, np.arange(2000) < 1000).spearman < 0.1


def test_a_dead_dimension_is_harmless(latent):
    z, truth, fit = latent
    padded = np.concatenate([z, np.ones((400, 1)), z[:, :1]], axis=1)
    assert best_direction(padded, truth, fit).spearman == pytest.approx(best_direction(z, truth, fit).spearman)


def test_circles(latent):
    rng = np.random.default_rng(4)
    angle = rng.uniform(0, 360, size=1000)
    circle = np.stack([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))], axis=1)
    fit = np.arange(1000) % 2 == 0
    perfect = circular_direction(circle @ rng.normal(size=(2, 4)), angle, fit)
    assert perfect.spearman == pytest.approx(1.0, abs=1e-4)
    assert perfect.r_squared == pytest.approx(1.0)
    noisy = circular_direction(circle + 0.5 * rng.normal(size=circle.shape), angle, fit)
    assert 0.3 < noisy.spearman < 0.98


def test_rank_correlation_on_the_circle():
    rng = np.random.default_rng(5)
    angle = rng.uniform(0, 360, size=500)
    assert circular_spearman(angle, angle) == pytest.approx(1.0, abs=1e-9)
    assert circular_spearman(angle, (angle + 123.0) % 360) == pytest.approx(1.0, abs=1e-3)
    assert circular_spearman(angle, -angle % 360) == pytest.approx(-1.0, abs=1e-3)
    assert circular_spearman(angle, (angle + 20 * np.sin(np.deg2rad(angle))) % 360) > 0.999
    assert abs(circular_spearman(angle, rng.permutation(angle))) < 0.05
    three = circular_spearman(np.array([0.0, 120.0, 240.0]), np.array([10.0, 20.0, 30.0]))
    assert three == pytest.approx(1.0)  # three points in the same order around the circle


def test_states_against_scikit_learn():
    rng = np.random.default_rng(6)
    state = rng.integers(0, 5, size=600)
    centres = rng.normal(size=(5, 3)) * 1.2
    z = centres[state] + rng.normal(size=(600, 3)) @ rng.normal(size=(3, 3))
    fit = np.arange(600) % 2 == 0
    oracle = LinearDiscriminantAnalysis(solver="lsqr").fit(z[fit], state[fit])
    assert state_accuracy(z, state, fit) == pytest.approx(oracle.score(z[~fit], state[~fit]), abs=0.01)
    assert state_accuracy(centres[state], state, fit) == 1.0


def test_too_few_particles_or_nan_are_refused(latent):
    z, truth, fit = latent
    with pytest.raises(DataError, match="at least 7"):
        best_direction(z, truth, np.arange(400) < 4)
    z[3, 1] = np.nan
    with pytest.raises(DataError, match="1 values that are NaN"):
        best_direction(z, truth, fit)
