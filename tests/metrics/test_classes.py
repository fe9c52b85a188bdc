"""Scores of classes against scikit-learn, by hand, and for answers that know nothing."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score
from sklearn.metrics.cluster import expected_mutual_information as sklearn_emi

from hypermol.errors import DataError
from hypermol.metrics import confusion
from hypermol.metrics.classes import contingency, expected_mutual_information


@pytest.mark.parametrize(
    ("true_classes", "found_classes", "noise"), [(3, 3, 0.2), (10, 4, 0.5), (2, 7, 0.9), (5, 5, 0)]
)
def test_adjusted_indices_are_scikit_learns(true_classes, found_classes, noise):
    rng = np.random.default_rng(true_classes)
    true = rng.integers(0, true_classes, 800) ** 2
    found = np.where(rng.random(800) < noise, rng.integers(0, found_classes, 800), true % found_classes)
    scores = confusion(found, true)
    assert scores.ari == pytest.approx(adjusted_rand_score(true, found), abs=1e-12)
    assert scores.ami == pytest.approx(adjusted_mutual_info_score(true, found), abs=1e-10)
    table = contingency(found, true)[2]
    emi = expected_mutual_information(table.sum(1), table.sum(0))
    assert emi == pytest.approx(sklearn_emi(table, int(table.sum())), abs=1e-10)


def test_confusion_solved_by_hand():
    true = np.array(["a"] * 4 + ["b"] * 4 + ["c"] * 2)
    found = np.array([7, 7, 7, 1, 1, 1, 1, 1, 7, 3])
    scores = confusion(found, true)  # a-7 (3), b-1 (4), c-3 (1): 8 of 10
    assert scores.error == pytest.approx(0.2)
    np.testing.assert_allclose(scores.recall, [0.75, 1.0, 0.5])
    np.testing.assert_array_equal(scores.found_labels[scores.matched], [7, 1, 3])
    np.testing.assert_allclose(scores.true_share, [0.4, 0.4, 0.2])
    np.testing.assert_allclose(scores.found_share, [0.4, 0.5, 0.1])


def test_matching_is_the_best_of_all():
    rng = np.random.default_rng(1)
    true, found = rng.integers(0, 5, 60), rng.integers(0, 5, 60)
    best = max(np.mean(np.array(order)[found] == true) for order in itertools.permutations(range(5)))
    assert confusion(found, true).error == pytest.approx(1 - best)


def test_more_or_fewer_found_than_true():
    true = np.repeat([0, 1], [90, 10])
    split = np.concatenate([np.repeat([0, 1], 45), np.full(10, 2)])
    scores = confusion(split, true)
    assert scores.error == pytest.approx(0.45)
    np.testing.assert_allclose(scores.recall, [0.5, 1.0])
    one = confusion(np.zeros(100, int), true)
    assert one.error == pytest.approx(0.1)
    np.testing.assert_allclose(one.recall, [1.0, 0.0])
    np.testing.assert_array_equal(one.matched, [0, -1])
    np.testing.assert_allclose(one.found_share, [1.0, 0.0])
    assert scores.found_share.sum() == pytest.approx(0.55)  # one half of the split class is matched to nothing


def test_the_truth_is_best_under_any_names():
    true = np.random.default_rng(2).integers(0, 6, 300)
    scores = confusion(17 - 3 * true, true)
    assert (scores.error, scores.ari, scores.ami) == pytest.approx((0.0, 1.0, 1.0))
    np.testing.assert_allclose(scores.recall, 1.0)


def test_answers_that_know_nothing():
    rng = np.random.default_rng(3)
    true = np.repeat([0, 1, 2], [900, 600, 500])
    constant = confusion(np.zeros(2000, int), true)
    assert (constant.ari, constant.ami) == (0.0, 0.0)
    assert constant.error == pytest.approx(0.55)
    assert constant.recall.mean() == pytest.approx(1 / 3)
    several = [confusion(rng.permutation(true), true) for _ in range(20)]
    assert abs(np.mean([s.ari for s in several])) < 1e-3
    assert abs(np.mean([s.ami for s in several])) < 1e-3
    shares = np.array([0.45, 0.3, 0.25])
    assert np.mean([s.error for s in several]) == pytest.approx(1 - (shares**2).sum(), abs=0.01)


def test_partitions_that_divide_nothing_or_everything():
    same = np.zeros(5, int)
    assert (confusion(same, same).ari, confusion(same, same).ami) == (1.0, 1.0)
    each = np.arange(5)
    assert (confusion(each, each).ari, confusion(each, each).ami) == (1.0, 1.0)
    many = confusion(np.arange(3000), np.arange(3000) // 2)  # 3,000 classes of one against 1,500 of two
    assert many.ami == pytest.approx(0.0, abs=1e-9)
    assert confusion(each, same).ari == adjusted_rand_score(same, each) == 0.0


def test_lengths_must_agree():
    with pytest.raises(DataError, match="found 3 and 2"):
        confusion(np.zeros(3, int), np.zeros(2, int))
