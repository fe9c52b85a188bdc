"""Coverage of posteriors whose truth is known: as stated where they are right, less where they are too narrow."""

import numpy as np
import pytest

from hypermol.errors import DataError
from hypermol.metrics import coverage


@pytest.fixture(scope="module")
def found():
    """Particles on a curve in two dimensions; what each image says of z, under the prior N(0, 1)."""
    draw = np.random.default_rng(0)
    truth = draw.uniform(-1, 1, 8000)
    features = np.stack([np.ones_like(truth), truth, truth**2], 1)
    z = features @ np.array([[-0.5, 0.3], [1.0, -0.4], [0.2, 1.1]])
    factor = draw.normal(size=(8000, 3, 2))
    information = np.einsum("npi,npj->nij", factor, factor) * draw.uniform(0.2, 8, 8000)[:, None, None]
    precision = information + np.eye(2)
    noise = np.einsum("nij,nj->ni", np.linalg.cholesky(information + 1e-9 * np.eye(2)), draw.normal(size=(8000, 2)))
    pull = np.einsum("nij,nj->ni", information, z) + noise
    covariance = np.linalg.inv(precision)
    return np.einsum("nij,nj->ni", covariance, pull), covariance, features, np.arange(8000) % 2 == 0, information, pull


def test_a_posterior_without_a_prior_covers_as_often_as_it_says(found):
    """With a prior that hardly says anything the region is exact, whatever the truth's own distribution."""
    _, _, features, fit, information, pull = found
    wide = 1e4  # z is measured in units of which the prior has one: a large unit makes it weak
    precision = information * wide + np.eye(2)
    mean = np.einsum("nij,nj->ni", np.linalg.inv(precision), pull * wide**0.5)
    for level in (0.5, 0.9):
        share = coverage(mean, np.linalg.inv(precision), features, fit, level)
        assert share == pytest.approx(level, abs=0.02)


def test_too_narrow_and_too_wide_are_told(found):
    mean, covariance, features, fit, *_ = found
    right = coverage(mean, covariance, features, fit)
    information = np.linalg.inv(covariance) - np.eye(2)
    narrow = np.linalg.inv(4 * information + np.eye(2))
    pull = np.einsum("nij,nj->ni", np.linalg.inv(covariance), mean)
    four_times_sure = np.einsum("nij,nj->ni", narrow, 4 * pull)
    assert coverage(four_times_sure, narrow, features, fit) < right - 0.15
    wide = np.linalg.inv(information / 4 + np.eye(2))
    assert coverage(np.einsum("nij,nj->ni", wide, pull / 4), wide, features, fit) > right + 0.04


def test_too_few_particles_are_refused(found):
    mean, covariance, features, fit, *_ = found
    with pytest.raises(DataError, match="needs at least 30 particles"):
        coverage(mean[:20], covariance[:20], features[:20], fit[:20])
