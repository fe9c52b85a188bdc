"""Optimal transport and Gromov-Wasserstein against POT, scipy, all permutations, and by hand."""

import itertools

import numpy as np
import ot
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import wasserstein_distance

from hypermol.errors import DataError
from hypermol.metrics import gromov_wasserstein, transport, wasserstein, wasserstein_1d


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def shares(count, seed=0):
    weight = np.random.default_rng(seed).uniform(size=count) + 0.01
    return weight / weight.sum()


@pytest.mark.parametrize(("n", "m"), [(25, 25), (30, 17), (1, 9)])
@pytest.mark.parametrize("uniform", [True, False])
def test_transport_is_pots(n, m, uniform):
    cost = cdist(noise(n, 3), noise(m, 3, seed=1))
    p, q = (None, None) if uniform else (shares(n), shares(m, seed=1))
    found = transport(cost, p, q)
    oracle = [np.full(n, 1 / n), np.full(m, 1 / m)] if uniform else [p, q]
    assert found.cost == pytest.approx(ot.emd2(*oracle, cost), abs=1e-9)
    np.testing.assert_allclose(found.plan.sum(1), oracle[0], atol=1e-9)
    np.testing.assert_allclose(found.plan.sum(0), oracle[1], atol=1e-9)
    assert found.plan.min() >= 0


def test_transport_solved_by_hand():
    found = transport(np.array([[0.0, 1.0], [2.0, 0.0]]), np.array([0.7, 0.3]), np.array([0.4, 0.6]))
    assert found.cost == pytest.approx(0.3)
    np.testing.assert_allclose(found.plan, [[0.4, 0.3], [0.0, 0.3]], atol=1e-12)


@pytest.mark.parametrize("order", [1.0, 2.0, 3.0])
def test_on_a_line(order):
    a, b, p, q = noise(40), 2 * noise(23, seed=1) + 1, shares(40), shares(23, seed=1)
    assert wasserstein_1d(a, b, p, q, order) == pytest.approx(
        ot.wasserstein_1d(a, b, p, q, p=order) ** (1 / order), abs=1e-9
    )
    assert wasserstein_1d(a, b, p, q, order) == pytest.approx(
        wasserstein(a[:, None], b[:, None], p, q, order), abs=1e-7
    )
    if order == 1.0:
        assert wasserstein_1d(a, b) == pytest.approx(wasserstein_distance(a, b), abs=1e-12)


def test_lines_solved_by_hand():
    assert wasserstein_1d(np.array([0.0, 1.0, 3.0]), np.array([5.0, 6.0, 8.0])) == pytest.approx(5.0)
    assert wasserstein_1d(np.array([0.0]), np.array([-1.0, 1.0]), order=2.0) == pytest.approx(1.0)
    gauss = wasserstein_1d(noise(20000), 1 + 3 * noise(20000, seed=1), order=2.0)
    assert gauss == pytest.approx(np.sqrt(1 + (3 - 1) ** 2), rel=0.03)  # of N(0, 1) and N(1, 9)


def test_points_against_pot():
    a, b = noise(30, 4), noise(30, 4, seed=1) + 0.5
    for order in (1.0, 2.0):
        oracle = ot.emd2([], [], cdist(a, b) ** order) ** (1 / order)
        assert wasserstein(a, b, order=order) == pytest.approx(oracle, abs=1e-9)
    assert wasserstein(a, a[::-1].copy()) == 0.0
    assert wasserstein(a, a + np.array([3.0, 4.0, 0.0, 0.0]), order=2.0) == pytest.approx(5.0)


def test_impossible_weights_are_refused():
    for bad in (np.array([-1.0, 2.0]), np.zeros(2), np.array([np.nan, 1.0]), np.ones(3)):
        with pytest.raises((DataError, TypeError)):
            transport(np.ones((2, 2)), bad, np.ones(2))
    with pytest.raises(DataError, match="finite costs"):
        transport(np.full((2, 2), np.nan))


# Gromov-Wasserstein


def test_never_worse_than_pot_and_the_same_loss():
    for seed in range(5):
        a, b = noise(18, 2, seed=seed), noise(18, 3, seed=seed + 50)
        one, other = cdist(a, a), cdist(b, b)
        found = gromov_wasserstein(one, other)
        oracle = ot.gromov.gromov_wasserstein2(one, other, loss_fun="square_loss")
        assert found.distance**2 <= float(oracle) + 1e-9
        four = (
            (one[:, None, :, None] - other[None, :, None, :]) ** 2 * found.plan[:, :, None, None] * found.plan
        ).sum()
        assert found.distance**2 == pytest.approx(four, abs=1e-9)


def test_weighted_against_pot():
    a, b, p, q = noise(9, 2), noise(12, 2, seed=1), shares(9), shares(12, seed=1)
    one, other = cdist(a, a), cdist(b, b)
    found = gromov_wasserstein(one, other, p, q)
    oracle = ot.gromov.gromov_wasserstein2(one, other, p, q, loss_fun="square_loss")
    assert found.distance**2 <= float(oracle) + 1e-8
    np.testing.assert_allclose(found.plan.sum(1), p, atol=1e-9)
    np.testing.assert_allclose(found.plan.sum(0), q, atol=1e-9)


def test_best_of_all_pairings_of_a_few():
    for seed in range(6):
        a, b = noise(6, 2, seed=seed), noise(6, 2, seed=seed + 20)
        one, other = cdist(a, a), cdist(b, b)
        best = min(((one - other[np.ix_(o, o)]) ** 2).mean() for o in map(list, itertools.permutations(range(6))))
        # a plan may split a point, so that it can be a little better than any pairing
        assert gromov_wasserstein(one, other, starts=20).distance ** 2 <= best + 1e-9


def test_gromov_solved_by_hand():
    two = np.array([[0.0, 1.0], [1.0, 0.0]])
    found = gromov_wasserstein(two, 3 * two)
    assert found.distance == pytest.approx(np.sqrt(2))  # half of all pairs of particles are 1 and not 3 apart
    point = gromov_wasserstein(two, np.zeros((1, 1)))
    assert point.distance == pytest.approx(np.sqrt(0.5))
    assert point.relative == pytest.approx(1.0)
    assert np.isnan(gromov_wasserstein(np.zeros((3, 3)), np.zeros((2, 2))).relative)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_a_landscape_in_other_coordinates_is_the_same(dim):
    points = noise(60, dim) * np.arange(1, dim + 1)
    order = np.random.default_rng(1).permutation(60)
    turned = (points @ np.linalg.qr(noise(dim, dim, seed=3))[0] + 8)[order]
    found = gromov_wasserstein(cdist(points, points), cdist(turned, turned), starts=8)
    assert found.relative == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_array_equal(found.plan.argmax(0), order)


def test_a_landscape_without_motion_or_of_another_shape_is_not():
    line, clusters = np.linspace(0, 1, 60)[:, None], np.repeat([0.0, 1.0], 30)[:, None]
    one, other = cdist(line, line), cdist(clusters, clusters)
    assert gromov_wasserstein(one, np.zeros((60, 60))).relative == pytest.approx(1.0)
    assert gromov_wasserstein(one, other).relative > 0.2
