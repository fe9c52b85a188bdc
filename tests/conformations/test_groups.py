"""Groups by density: true ones are found, and none are invented in clouds that have none."""

import numpy as np
import pytest

from hypermol.conformations.groups import density_groups as labels_of
from hypermol.conformations.separation import depth, join_unseparated
from hypermol.landscape import check_latent, density_clusters, principal_components


def groups(z):
    latent = check_latent(z)
    found = density_clusters(latent, principal_components(latent))
    return found.count if found.separate else 1


CLOUDS = {
    "gauss in one dimension": lambda r, n: r.normal(size=(n, 1)),
    "gauss in eight": lambda r, n: r.normal(size=(n, 8)),
    "uniform in one": lambda r, n: r.uniform(size=(n, 1)),
    "uniform in two": lambda r, n: r.uniform(size=(n, 2)),
    "ring": lambda r, n: np.stack([np.cos(a := r.uniform(0, 7, n)), np.sin(a)], 1) + 0.1 * r.normal(size=(n, 2)),
}


@pytest.mark.parametrize("name", CLOUDS)
@pytest.mark.parametrize("count", [200, 2000])
def test_no_groups_are_invented(name, count):
    wrong = [seed for seed in range(4) if groups(CLOUDS[name](np.random.default_rng(seed), count)) != 1]
    assert len(wrong) <= 1


@pytest.mark.parametrize(
    ("dimensions", "apart", "shares"), [(1, 6, (0.5, 0.5)), (2, 7, (0.6, 0.3, 0.1)), (8, 8, (0.7, 0.3))]
)
def test_true_groups_are_found(dimensions, apart, shares):
    random = np.random.default_rng(3)
    which = random.choice(len(shares), 2000, p=shares)
    centres = apart * np.eye(max(dimensions, len(shares)))[:, :dimensions]
    assert groups(centres[which] + random.normal(size=(2000, dimensions))) == len(shares)


def test_depth_is_the_density_in_the_valley():
    """Two Gaussians 4σ apart: the middle holds 2 φ(2)/(φ(0) + φ(4)) = 0.27 of a peak; a uniform bar has no valley."""
    random = np.random.default_rng(0)
    left, right = random.normal(size=(2, 200_000, 1)) + np.array([[[0.0]], [[4.0]]])
    assert depth(left, right) == pytest.approx(0.28, abs=0.03)
    bar = random.uniform(size=(100_000, 2)) * [10, 1]
    assert depth(bar[bar[:, 0] < 5], bar[bar[:, 0] >= 5]) > 0.95
    assert depth(left, left) == 1.0


def test_pieces_of_a_line_are_joined_and_points_between_stay_outside():
    z = np.random.default_rng(1).uniform(0, 9, (3000, 1))
    label = np.floor(z[:, 0]).astype(int)
    label[np.abs(z[:, 0] % 1) < 0.1] = -1
    joined = join_unseparated(z, label)
    assert set(joined[label >= 0]) == {joined[label >= 0][0]}
    assert (joined[label < 0] == -1).all()


def test_labels_have_no_gaps():
    """Four groups, of which two are joined: the others count on."""
    random = np.random.default_rng(2)
    places = np.concatenate(
        [random.uniform(0, 6, (900, 1)), random.normal(20, 0.2, (300, 1)), random.normal(-9, 0.2, (300, 1))]
    )
    label = labels_of(places)
    assert sorted(np.unique(label[label >= 0])) == list(range(label.max() + 1))
