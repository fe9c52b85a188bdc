"""Paths: the component against percentiles, the graph against a known arc and networkx-free brute force."""

import numpy as np
import pytest

from hypermol.errors import ConfigError
from hypermol.landscape import analyze, check_latent, component_path, graph_path, principal_components, straight_path
from hypermol.landscape.paths import _shortest, farthest_apart


@pytest.fixture
def arc():
    """A half circle of radius 3 with a little noise: going straight between its ends crosses emptiness."""
    random = np.random.default_rng(1)
    angle = np.sort(random.uniform(0, np.pi, 1500))
    z = 3 * np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.05 * random.normal(size=(1500, 2))
    return check_latent(z)


def test_component_path_runs_between_percentiles_through_the_mean(arc):
    components = principal_components(arc)
    path = component_path(arc, components, 1, points=7)
    coordinates = components.project(path.z)
    low, high = np.percentile(components.project(arc.z)[:, 1], [5, 95])
    np.testing.assert_allclose(coordinates[:, 1], np.linspace(low, high, 7))
    np.testing.assert_allclose(coordinates[:, 0], 0, atol=1e-12)
    assert path.name == "pc2"


def test_the_graph_follows_the_data_where_the_straight_line_does_not(arc):
    first, last = 0, arc.size - 1
    way = graph_path(arc, first, last, points=10)
    np.testing.assert_allclose(way.z[0], arc.z[first])
    np.testing.assert_allclose(way.z[-1], arc.z[last])
    np.testing.assert_allclose(np.linalg.norm(way.z, axis=1), 3, atol=0.2)
    steps = np.linalg.norm(np.diff(way.z, axis=0), axis=1)
    assert steps.max() < 1.15 * steps.min()
    assert steps.sum() == pytest.approx(3 * np.pi, rel=0.05)
    assert (way.support < 1).all()
    assert not way.notes
    line = straight_path(arc, arc.z[first], arc.z[last])
    assert line.support[5] > 5
    assert "extrapolated" in line.notes[0]
    assert "maps 1, 2, 3" in line.notes[0]


def test_the_nearest_particles_are_nearest(arc):
    path = straight_path(arc, [3.0, 0.0], [0.0, 3.0])
    distance = np.linalg.norm(arc.z[None] - path.z[:, None], axis=2)
    np.testing.assert_array_equal(path.particle, arc.row[distance.argmin(axis=1)])
    np.testing.assert_allclose(path.distance, distance.min(axis=1))


def test_the_graph_is_the_shortest_of_all_ways():
    z = np.random.default_rng(2).normal(size=(30, 2))
    latent = check_latent(z)
    complete = graph_path(latent, 3, 8, neighbours=29, points=2)
    np.testing.assert_allclose(complete.z, z[[3, 8]])
    nodes, used = _shortest(z, 3, 8, 4)
    assert used == 4
    cost = np.square(np.diff(z[nodes], axis=0)).sum()
    assert cost == pytest.approx(_floyd_warshall(z, 4)[3, 8])
    few = graph_path(latent, 3, 8, neighbours=4, points=200)
    length = np.linalg.norm(np.diff(z[nodes], axis=0), axis=1).sum()
    assert np.linalg.norm(np.diff(few.z, axis=0), axis=1).sum() == pytest.approx(length, rel=1e-2)


def test_a_bend_is_followed_though_a_few_stray_particles_shorten_it(arc):
    chord = np.stack([np.linspace(-2.6, 2.6, 14), np.full(14, 1.5)], axis=1)
    stray = check_latent(np.concatenate([arc.z, chord]))
    way = graph_path(stray, 0, arc.size - 1, points=10)
    np.testing.assert_allclose(np.linalg.norm(way.z, axis=1), 3, atol=0.2)


def _floyd_warshall(z, neighbours):
    distance = np.square(z[:, None] - z[None]).sum(axis=2)
    near = np.argsort(distance, axis=1)[:, : neighbours + 1]
    best = np.full_like(distance, np.inf)
    for row, columns in enumerate(near):
        best[row, columns] = distance[row, columns]
    best = np.minimum(best, best.T)
    for middle in range(len(z)):
        best = np.minimum(best, best[:, middle, None] + best[None, middle])
    return best


def test_separate_groups_are_joined_with_a_note():
    random = np.random.default_rng(0)
    z = np.concatenate([random.normal(size=(40, 2)), random.normal(size=(40, 2)) + 30])
    path = graph_path(check_latent(z), 0, 79)
    assert "separate groups" in path.notes[0]
    assert "crosses a gap" in path.notes[0]


def test_rows_are_those_of_the_input():
    z = np.random.default_rng(0).normal(size=(80, 2))
    z[:10] = np.nan
    latent = check_latent(z)
    path = graph_path(latent, 10, 79)
    assert path.particle[0] == 10
    assert path.particle[-1] == 79
    with pytest.raises(ConfigError, match="particle 3 has no finite z"):
        graph_path(latent, 3, 79)


def test_one_dimension_and_coincident_particles():
    latent = check_latent(np.repeat(np.arange(30.0), 3))
    path = graph_path(latent, 0, 89)
    np.testing.assert_allclose(path.z[:, 0], np.linspace(0, 29, 10), atol=1e-9)
    assert graph_path(latent, 5, 5).points == 10


def test_impossible_paths_say_why(arc):
    with pytest.raises(ConfigError, match="component 3 does not exist"):
        component_path(arc, principal_components(arc), 2)
    with pytest.raises(ConfigError, match="two points of 2"):
        straight_path(arc, np.zeros(3), np.zeros(2))


def test_the_ends_of_a_curved_cloud_are_found_wherever_the_axes_lie(arc):
    rows = np.array([700, 1499, 300, 0, 1100])  # sorted by angle: the ends are 0 and 1499
    assert farthest_apart(arc, rows) == (1, 3)


def test_separate_groups_are_joined_at_their_first_and_last():
    z = np.concatenate([np.random.default_rng(0).normal(size=(60, 2)), [[90.0, 0.0]] * 60])
    assert farthest_apart(check_latent(z), np.array([3, 70])) == (0, 1)


def test_coordinates_that_are_components_already_stay_as_they_are():
    """Whitened z has no principal axes: rotated by PCA, each would hold the same share of nothing."""
    z = np.random.default_rng(2).normal(size=(4000, 3))
    found = analyze(z, amplitude=np.array([2.0, 5.0, 1.0]))
    np.testing.assert_allclose(found.components.ratio, [25 / 30, 4 / 30, 1 / 30], atol=0.02)
    np.testing.assert_array_equal(found.components.axes, np.eye(3)[[1, 0, 2]])
    walked = found.path("pc1").z
    assert np.ptp(walked[:, 1]) > 2
    np.testing.assert_allclose(np.ptp(walked[:, [0, 2]], axis=0), 0, atol=1e-9)
