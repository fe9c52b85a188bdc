"""Rulers of z know nothing by themselves: noise, a constant and the truth in the wrong order score what theory gives
for nothing learned, the truth scores best. The rulers of maps, classes and poses say so beside their own tests."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from hypermol.errors import DataError
from hypermol.metrics import (
    best_direction,
    circle_points,
    circular_direction,
    confusion,
    first_component,
    imbalance_of_distances,
    information_imbalance,
    map_distances,
    neighbourhood_similarity,
    shared_neighbours,
    spearman,
    state_accuracy,
    state_points,
)

COUNT = 1200
RNG = np.random.default_rng(0)
LINE = RNG.uniform(-30, 30, COUNT)
ANGLE = RNG.uniform(0, 360, COUNT)
STATE = RNG.choice(3, COUNT, p=[0.6, 0.3, 0.1])
FIT = np.arange(COUNT) % 2 == 0
TRUTH = np.column_stack([LINE / 17, circle_points(ANGLE), 2 * state_points(STATE)])

NOTHING = {
    "noise": RNG.normal(size=(COUNT, 6)),
    "constant": np.full((COUNT, 6), 0.1, dtype=np.float32),
    "the truth of other particles": TRUTH[RNG.permutation(COUNT)],
}


@pytest.fixture(params=list(NOTHING))
def nothing(request):
    return NOTHING[request.param]


def test_no_direction_of_nothing(nothing):
    for found in (best_direction(nothing, LINE, FIT), circular_direction(nothing, ANGLE, FIT)):
        assert found.spearman < 0.1  # 1/√600 = 0.04 is its standard error
        assert -0.05 < found.r_squared < 0.02
    assert first_component(nothing, LINE) < 0.1


def test_rounding_of_a_constant_has_no_order():
    """Rows of a matrix product may differ in their last bit; sorted particles must not turn that into a rank."""
    rounded = np.full((COUNT, 3), 0.1) + 1e-16 * np.arange(COUNT)[:, None]
    assert best_direction(rounded, np.sort(LINE), FIT).spearman == 0.0
    assert best_direction(np.full((COUNT, 3), 0.1, dtype=np.float32), np.sort(LINE), FIT).spearman == 0.0
    assert first_component(rounded, np.sort(LINE)) == 0.0


def test_nothing_names_the_largest_state(nothing):
    assert state_accuracy(nothing, STATE, FIT) == pytest.approx((STATE[~FIT] == 0).mean(), abs=0.02)


def test_clusters_of_nothing(nothing):
    if nothing.std() < 1e-6:
        found = np.zeros(COUNT, int)
    else:
        found = KMeans(3, n_init=1, random_state=0).fit_predict(nothing)
    scores = confusion(found, STATE)
    assert abs(scores.ari) < 0.03
    assert abs(scores.ami) < 0.01
    assert scores.error > 0.35  # 0.4 is reached by naming the largest state for all


def test_neighbours_of_nothing(nothing):
    assert abs(neighbourhood_similarity(nothing, TRUTH, 30).above_chance) < 0.01
    assert information_imbalance(nothing, TRUTH) == pytest.approx((1.0, 1.0), abs=0.08)


def test_the_truth_is_best():
    turned = TRUTH @ np.linalg.qr(RNG.normal(size=(6, 6)))[0] + 4
    assert best_direction(turned, LINE, FIT).spearman == pytest.approx(1.0)
    assert best_direction(turned, LINE, FIT).r_squared == pytest.approx(1.0)
    assert circular_direction(turned, ANGLE, FIT).spearman == pytest.approx(1.0, abs=1e-4)
    assert state_accuracy(turned, STATE, FIT) == 1.0
    assert neighbourhood_similarity(turned, TRUTH, 30).above_chance == pytest.approx(1.0)
    assert information_imbalance(turned, TRUTH) == pytest.approx((2 / COUNT, 2 / COUNT))
    assert first_component(LINE[:, None] ** 3, LINE) == pytest.approx(1.0)


def test_one_consensus_map_for_every_particle():
    """All maps the same: no neighbour is nearer than another, and nothing is told of the truth."""
    maps = torch.randn(1, 6, 6, 6).expand(200, -1, -1, -1)
    found, true = map_distances(maps), np.abs(LINE[:200, None] - LINE[:200])
    assert shared_neighbours(found, true, 20).above_chance == pytest.approx(0.0, abs=1e-12)
    assert imbalance_of_distances(found, true) == pytest.approx((1.0, 1.0), abs=1e-12)
    moving = maps + torch.from_numpy(LINE[:200]).float()[:, None, None, None] * torch.randn(6, 6, 6)
    assert shared_neighbours(map_distances(moving), true, 20).above_chance > 0.99
    assert imbalance_of_distances(map_distances(moving), true).forward < 0.02


def test_first_component_is_scikit_learns():
    z = RNG.normal(size=(300, 4)) @ RNG.normal(size=(4, 4))
    truth = z[:, 0] + 0.2 * RNG.normal(size=300)
    oracle = abs(spearman(PCA(1).fit_transform(z)[:, 0], truth))
    assert first_component(z, truth) == pytest.approx(oracle, abs=1e-12)
    with pytest.raises(DataError, match="NaN or infinite"):
        first_component(z * np.inf, truth)
