"""Neighbours and information imbalance: by hand, by plain loops, scikit-learn, and for a z that knows nothing."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation
from sklearn.neighbors import NearestNeighbors

from hypermol.errors import DataError
from hypermol.imaging.rotations import geodesic_angle_deg
from hypermol.metrics import (
    circle_points,
    defocus_points,
    direction_points,
    imbalance_of_distances,
    information_imbalance,
    neighbourhood_similarity,
    nuisance_imbalance,
    pose_points,
    ranks,
    shared_neighbours,
    state_points,
    whitened,
)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def column(*values):
    return np.array(values, float)[:, None]


# neighbourhood similarity


def test_share_of_neighbours_is_scikit_learns():
    z, truth = noise(300, 4), noise(300, 2, seed=1)
    truth += z[:, :2]
    sets = [NearestNeighbors(n_neighbors=20).fit(x).kneighbors(return_distance=False) for x in (z, truth)]
    oracle = np.mean([len(set(a) & set(b)) / 20 for a, b in zip(*sets)])
    found = neighbourhood_similarity(z, truth, 20)
    assert found.share == pytest.approx(oracle, abs=1e-12)
    assert found.chance == pytest.approx(20 / 299, abs=1e-12)
    assert shared_neighbours(cdist(z, z), cdist(truth, truth), 20).share == pytest.approx(oracle, abs=1e-12)


def test_neighbours_solved_by_hand():
    z, truth = column(0, 1, 3, 7), column(0, 10, 2, 11)
    assert neighbourhood_similarity(z, truth, 1).share == 0.0
    two = neighbourhood_similarity(z, truth, 2)  # z: bc ac ab cb; truth: cb dc ab bc → 2, 1, 2, 2 of 2
    assert two.share == pytest.approx(7 / 8)
    assert two.chance == pytest.approx(2 / 3)
    assert two.above_chance == pytest.approx(0.625)


def test_blocks_do_not_change_the_result(monkeypatch):
    z, truth = noise(101, 3), noise(101, 2, seed=2)
    whole = neighbourhood_similarity(z, truth, 7), information_imbalance(z, truth, 3)
    monkeypatch.setattr(ranks, "BLOCK", 1000)
    assert neighbourhood_similarity(z, truth, 7).share == pytest.approx(whole[0].share, abs=1e-14)
    assert information_imbalance(z, truth, 3) == pytest.approx(whole[1], abs=1e-14)


@pytest.mark.parametrize("k", [1, 5, 50])
def test_the_truth_has_the_neighbours_of_the_truth(k):
    truth = noise(200, 2)
    turned = truth @ np.linalg.qr(noise(2, 2, seed=3))[0] * 40 - 7
    assert neighbourhood_similarity(turned, truth, k).above_chance == pytest.approx(1.0)
    states = state_points(np.arange(200) % 4)
    assert neighbourhood_similarity(states, states, k).above_chance == pytest.approx(1.0)


def test_z_that_knows_nothing_has_neighbours_by_chance():
    truth = noise(800, 2)
    constant = neighbourhood_similarity(np.ones((800, 3)), truth, 40)
    assert constant.above_chance == pytest.approx(0.0, abs=1e-12)
    assert abs(neighbourhood_similarity(noise(800, 8, seed=4), truth, 40).above_chance) < 0.01
    shuffled = truth[np.random.default_rng(5).permutation(800)]
    assert abs(neighbourhood_similarity(shuffled, truth, 40).above_chance) < 0.01
    states = state_points(np.random.default_rng(6).integers(0, 3, 800))
    assert neighbourhood_similarity(np.ones((800, 1)), states, 40).above_chance == pytest.approx(0.0, abs=1e-12)
    assert abs(neighbourhood_similarity(noise(800, 8, seed=4), states, 40).above_chance) < 0.03
    assert np.isnan(neighbourhood_similarity(truth, np.ones((800, 1)), 40).above_chance)


# information imbalance


def by_loop(a, b, k):
    """Glielmo et al. 2022, eq. 1, particle by particle."""
    total, n = 0, len(a)
    for i in range(n):
        others = [j for j in range(n) if j != i]
        near = sorted(others, key=lambda j: np.linalg.norm(a[i] - a[j]))[:k]
        order = sorted(others, key=lambda j: np.linalg.norm(b[i] - b[j]))
        total += sum(order.index(j) + 1 for j in near)
    return 2 * total / (k * n**2)


@pytest.mark.parametrize("k", [1, 4])
def test_imbalance_by_a_loop(k):
    a, b = noise(60, 3), noise(60, 2, seed=1)
    b[:, 0] += 2 * a[:, 0]
    found = information_imbalance(a, b, k)
    assert found == pytest.approx((by_loop(a, b, k), by_loop(b, a, k)), abs=1e-12)
    assert imbalance_of_distances(cdist(a, a), cdist(b, b), k) == pytest.approx(found, abs=1e-12)


def test_imbalance_solved_by_hand():
    # nearest of a: 1 0 1, at ranks 1 2 1 in b; nearest of b: 1 2 1, at ranks 1 2 1 in a
    assert information_imbalance(column(0, 1, 3), column(0, 2, 3)) == pytest.approx((8 / 9, 8 / 9))


def test_a_space_tells_of_its_part_and_not_the_other_way():
    both = np.random.default_rng(2).uniform(size=(1000, 2))
    found = information_imbalance(both, both[:, :1])
    assert found.forward < 0.1
    assert found.backward > 0.25
    assert found.forward < found.backward / 4


def test_the_truth_has_the_least_imbalance():
    truth = noise(250, 2)
    for k in (1, 3):
        assert information_imbalance(3 * truth + 5, truth, k) == pytest.approx(((k + 1) / 250, (k + 1) / 250))
    states = state_points(np.arange(240) % 4)  # 59 others of one's own state, tied
    assert information_imbalance(states, states) == pytest.approx((60 / 240, 60 / 240))
    assert information_imbalance(noise(240, 3), states).forward > 0.8


def test_z_that_knows_nothing_has_imbalance_one():
    truth = noise(1000, 2)
    assert information_imbalance(np.ones((1000, 3)), truth) == pytest.approx((1.0, 1.0), abs=1e-12)
    assert information_imbalance(noise(1000, 8, seed=3), truth) == pytest.approx((1.0, 1.0), abs=0.08)
    shuffled = truth[np.random.default_rng(4).permutation(1000)]
    assert information_imbalance(shuffled, truth) == pytest.approx((1.0, 1.0), abs=0.08)


def test_leakage_of_pose_and_defocus():
    rotation = Rotation.random(600, rng=np.random.default_rng(7)).as_matrix()
    defocus = np.random.default_rng(8).uniform(8e3, 2.5e4, 600)
    ctf = defocus_points(defocus + 200, defocus - 200, np.full(600, 30.0))
    clean = nuisance_imbalance(noise(600, 4), rotation, ctf)
    assert set(clean) == {"pose", "viewing direction", "CTF"}
    for name in clean:
        assert clean[name].forward == pytest.approx(1.0, abs=0.08)
    views = nuisance_imbalance(direction_points(rotation), rotation, ctf)
    assert views["viewing direction"].forward == pytest.approx(2 / 600)
    assert views["pose"].forward < 0.8
    assert views["CTF"].forward == pytest.approx(1.0, abs=0.08)
    assert nuisance_imbalance(defocus[:, None], ctf=ctf)["CTF"].forward == pytest.approx(2 / 600)


def test_wrong_input_is_refused():
    with pytest.raises((DataError, TypeError)):  # the shape annotations speak first under pytest
        information_imbalance(noise(5, 2), noise(6, 2))
    with pytest.raises(DataError, match="at least 52 particles, found 20"):
        neighbourhood_similarity(noise(20, 2), noise(20, 2))
    broken = noise(20, 2)
    broken[3, 1] = np.nan
    with pytest.raises(DataError, match="1 values are NaN"):
        information_imbalance(broken, noise(20, 2))


# spaces


def test_points_have_the_distances_they_stand_for():
    import torch

    rotation = Rotation.random(50, rng=np.random.default_rng(1)).as_matrix()
    stacked = torch.from_numpy(rotation)
    theta = np.deg2rad(geodesic_angle_deg(stacked[:, None], stacked).numpy())
    points = pose_points(rotation)
    np.testing.assert_allclose(cdist(points, points), 2 * np.sqrt(2) * np.sin(theta / 2), atol=1e-7)
    quarter_turn = cdist(circle_points(np.array([0.0])), circle_points(np.array([90.0, 360.0])))
    np.testing.assert_allclose(quarter_turn, [[np.sqrt(2), 0]], atol=1e-12)
    states = state_points(np.array(["b", "a", "b"]))
    np.testing.assert_allclose(cdist(states, states), [[0, 1, 0], [1, 0, 1], [0, 1, 0]], atol=1e-12)


def test_defocus_points_by_quadrature():
    u, v, angle = np.array([21000.0, 15000.0]), np.array([20000.0, 13000.0]), np.array([20.0, 75.0])
    theta = np.linspace(0, 2 * np.pi, 721)[:-1]
    one, other = (0.5 * (a + b + (a - b) * np.cos(2 * (theta - np.deg2rad(c)))) for a, b, c in zip(u, v, angle))
    points = defocus_points(u, v, angle)
    assert np.linalg.norm(points[0] - points[1]) == pytest.approx(np.sqrt(np.mean((one - other) ** 2)), rel=1e-9)


def test_whitened():
    z = noise(500, 3) @ noise(3, 6, seed=1) * 30 + 100
    found = whitened(z)
    assert found.shape == (500, 3)
    np.testing.assert_allclose(found.T @ found / 500, np.eye(3), atol=1e-10)
    moved = whitened(z[:, :3] @ noise(3, 3, seed=2) + 5)
    np.testing.assert_allclose(cdist(moved, moved), cdist(whitened(z[:, :3]), whitened(z[:, :3])), atol=1e-7)
    assert whitened(np.full((20, 4), 0.1)).shape == (20, 0)
