"""Populations: by hand, by a linear program of their own, by least squares of the maps themselves."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog, minimize

from hypermol.errors import DataError
from hypermol.metrics import (
    best_populations,
    cross_distances,
    fitted_populations,
    map_distances,
    population_error,
    population_scores,
)

TRUE = np.array([0.9, 0.1])
FAR = np.array([[0.0, 5.0], [5.0, 0.0]])  # two maps, 5 apart


def test_wrong_weights_of_right_maps():
    found = population_scores(FAR, np.array([0.7, 0.3]), TRUE)
    assert found.distance == pytest.approx(0.2 * 5)
    assert found.best_distance == 0.0
    assert found.excess == pytest.approx(1.0)
    assert found.misplaced == pytest.approx(0.2)
    np.testing.assert_allclose(found.best, TRUE)


def test_right_weights_of_wrong_maps():
    found = population_scores(np.array([[0.0, 5.0], [4.0, 3.0]]), TRUE, TRUE)  # the rare state's map is 3 off
    assert found.distance == pytest.approx(0.1 * 3)
    assert found.best_distance == pytest.approx(0.1 * 3)
    assert found.excess == pytest.approx(0.0, abs=1e-12)
    assert found.misplaced == pytest.approx(0.0, abs=1e-12)


def test_the_truth_is_best_and_one_consensus_the_worst_of_maps():
    truth = population_scores(FAR, 3 * TRUE, TRUE)
    assert (truth.distance, truth.excess, truth.misplaced) == pytest.approx((0.0, 0.0, 0.0), abs=1e-12)
    consensus = population_scores(np.array([[0.5, 4.5]]), np.ones(1), TRUE)  # the mean map, by 0.9 and 0.1
    assert consensus.distance == pytest.approx(0.9 * 0.5 + 0.1 * 4.5)
    assert consensus.best_distance == pytest.approx(consensus.distance)
    assert consensus.excess == pytest.approx(0.0, abs=1e-12)


def test_maps_that_are_all_alike_may_have_any_weights():
    found = population_scores(np.full((3, 2), 2.0), np.array([0.5, 0.4, 0.1]), TRUE)
    assert found.distance == found.best_distance == pytest.approx(2.0)
    np.testing.assert_allclose(found.best, 1 / 3)


def test_best_populations_by_a_linear_program():
    """Plan and populations free together, as in the challenge; the closed form reaches the same cost."""
    rng = np.random.default_rng(0)
    cost, true = rng.uniform(size=(4, 9)), rng.dirichlet(np.ones(9))
    arrives = np.kron(np.ones((1, 4)), np.eye(9))
    oracle = linprog(cost.ravel(), A_eq=arrives, b_eq=true, bounds=(0, None))
    np.testing.assert_allclose(best_populations(cost, true), oracle.x.reshape(4, 9).sum(1), atol=1e-9)
    for found in rng.dirichlet(np.ones(4), size=20):
        scores = population_scores(cost, found, true)
        assert scores.best_distance == pytest.approx(oracle.fun, abs=1e-9)
        assert scores.distance >= scores.best_distance
    assert population_scores(cost, scores.best, true).excess == pytest.approx(0.0, abs=1e-9)


def test_error_of_matched_populations():
    assert population_error(np.array([0.7, 0.3]), TRUE) == pytest.approx(0.2)
    assert population_error(np.array([70.0, 30.0]), np.array([90.0, 10.0])) == pytest.approx(0.2)
    assert population_error(np.array([0.0, 1.0]), np.array([1.0, 0.0])) == 1.0
    assert population_error(np.full(4, 0.25), np.array([1.0, 0, 0, 0])) == pytest.approx(0.75)


def some_maps(count, seed=0):
    return torch.randn(count, 6, 6, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_fitted_populations_recover_a_mixture():
    maps, share = some_maps(5), np.array([0.5, 0.3, 0.15, 0.05, 0.0])
    mean = (torch.from_numpy(share)[:, None, None, None] * maps).sum(0, keepdim=True)
    found = fitted_populations(map_distances(maps), cross_distances(maps, mean)[:, 0])
    np.testing.assert_allclose(found, share, atol=1e-7)
    only = fitted_populations(map_distances(maps), cross_distances(maps, maps[2:3])[:, 0])
    np.testing.assert_allclose(only, [0, 0, 1, 0, 0], atol=1e-7)


def test_fitted_populations_by_general_minimisation():
    maps, target = some_maps(4), some_maps(1, seed=1)[0] + 0.4 * some_maps(4)[0]
    flat, aim = maps.flatten(1).numpy(), target.flatten().numpy()
    oracle = minimize(
        lambda q: ((q @ flat - aim) ** 2).sum(),
        np.full(4, 0.25),
        bounds=[(0, None)] * 4,
        constraints={"type": "eq", "fun": lambda q: q.sum() - 1},
        tol=1e-12,
    )
    found = fitted_populations(map_distances(maps), cross_distances(maps, target[None])[:, 0])
    assert found.sum() == pytest.approx(1.0)
    assert found.min() >= 0
    assert ((found @ flat - aim) ** 2).sum() == pytest.approx(oracle.fun, rel=1e-6)
    np.testing.assert_allclose(found, oracle.x, atol=1e-3)


def test_impossible_populations_are_refused():
    with pytest.raises(DataError, match="positive sum"):
        population_scores(FAR, np.array([-0.1, 1.1]), TRUE)
    with pytest.raises((DataError, TypeError)):
        fitted_populations(np.zeros((2, 2)), np.zeros(3))
