"""Coordinates of z that can be compared: white, without pose, and none where z is not used."""

import numpy as np
import pytest

from hypermol.errors import DataError
from hypermol.validation import canonical_agreement
from hypermol.validation.axes import frame_of
from hypermol.validation.landscapes import order_agreement

N = 2000


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(5)


def test_coordinates_are_white(draw: np.random.Generator):
    z = draw.normal(size=(N, 3)) @ draw.normal(size=(3, 3)) + [5, -2, 1]
    frame = frame_of(z)
    found = frame.coordinates(z, np.zeros((N, 0)))
    np.testing.assert_allclose(found.T @ found / N, np.eye(3), atol=1e-9)
    half = frame.along(np.eye(3)[:, :1]).coordinates(z, np.zeros((N, 0)))
    np.testing.assert_allclose(half, found[:, :1])


def test_pose_is_taken_out(draw: np.random.Generator):
    """z = motion + pose: the share is what it was made with, and the coordinate follows the motion alone."""
    pose, motion = draw.normal(size=(N, 4)), draw.normal(size=N)
    z = np.stack([motion + 2 * pose[:, 0], pose[:, 1] - pose[:, 2]], 1)
    frame = frame_of(z, pose)
    assert frame.nuisance == pytest.approx(6 / 7, abs=0.02)
    found = frame.coordinates(z, pose)
    assert abs(np.corrcoef(found[:, 0], motion)[0, 1]) > 0.999
    assert frame_of(draw.normal(size=(N, 2)), pose).nuisance < 0.01


def test_unused_directions_are_left_out(draw: np.random.Generator):
    z = np.stack([draw.normal(size=N), 1e-3 * draw.normal(size=N), np.full(N, 3.0)], 1)
    assert frame_of(z).count == 1
    assert frame_of(np.full((N, 2), 7.0)).count == 0


def test_bad_tables_are_refused(draw: np.random.Generator):
    with pytest.raises(DataError, match="too few"):
        frame_of(draw.normal(size=(5, 3)))
    with pytest.raises(DataError, match="NaN"):
        frame_of(np.array([[np.nan, 0.0]] * 50))
    with pytest.raises(DataError, match="one to one"):
        canonical_agreement(draw.normal(size=(50, 2)), draw.normal(size=(60, 2)))


def test_canonical_agreement_of_mixtures(draw: np.random.Generator):
    """One common coordinate with noise of known size in each, hidden in mixtures: r = 1 / (1 + 0.5²)."""
    common = draw.normal(size=N)
    first = np.stack([common + 0.5 * draw.normal(size=N), draw.normal(size=N)], 1) @ draw.normal(size=(2, 2))
    second = np.stack([draw.normal(size=N), draw.normal(size=N), common + 0.5 * draw.normal(size=N)], 1)
    found = canonical_agreement(first, second @ draw.normal(size=(3, 3)))
    assert found[0]["correlation"] == pytest.approx(0.8, abs=0.03)
    assert abs(found[1]["correlation"]) < 0.1
    assert found[0]["spearman"] == pytest.approx(found[0]["correlation"], abs=0.05)


def test_order_of_the_same_and_of_unrelated_particles(draw: np.random.Generator):
    seen, angle = np.arange(N) % 2, draw.uniform(-30, 30, N)
    same = order_agreement(angle, 3 * angle + 1, seen)
    assert same["spearman"] == pytest.approx(1.0)
    assert same["states_agree"] > 0.9
    assert same["population_difference"] < 0.05
    assert same["distance"] < same["distance_by_chance_95"]
    other = order_agreement(angle, draw.uniform(size=N), seen)
    assert abs(other["spearman"]) < 0.06
    assert other["states_agree"] == pytest.approx(other["states_by_chance"], abs=0.04)


def test_distributions_of_another_shape_are_told(draw: np.random.Generator):
    seen = np.arange(N) % 2
    two_states = np.where(draw.uniform(size=N) < 0.5, -1.0, 1.0) + 0.1 * draw.normal(size=N)
    found = order_agreement(draw.normal(size=N), two_states, seen)
    assert found["distance"] > 2 * found["distance_by_chance_95"]
