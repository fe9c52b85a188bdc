"""Mutual information against cases whose value is known in closed form, and against chance."""

import numpy as np
import pytest

from hypermol.metrics import mutual_information

SIZE = 1500
RANDOM = np.random.default_rng(3)


def on_sphere(count: int, seed: int) -> np.ndarray:
    points = np.random.default_rng(seed).normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_two_normals(correlation: float) -> None:
    """-½ log(1 - ρ²)."""
    first = RANDOM.normal(size=(SIZE, 1))
    second = correlation * first + np.sqrt(1 - correlation**2) * RANDOM.normal(size=(SIZE, 1))
    found = mutual_information(first, second)
    assert found.nats == pytest.approx(-0.5 * np.log(1 - correlation**2), abs=0.06)
    assert abs(found.chance) < 0.05
    assert found.explained == pytest.approx(correlation**2, abs=0.06)
    assert (found.sigmas > 4) == (correlation > 0)


def test_a_view_known_to_some_degrees() -> None:
    """z is the viewing direction, off by von Mises-Fisher: κ (coth κ - 1/κ) + log(κ / sinh κ)."""
    view, kappa = on_sphere(SIZE, 0), 4.0
    height = 1 + np.log(RANDOM.uniform(np.exp(-2 * kappa), 1, SIZE)) / kappa
    aside = np.cross(view, on_sphere(SIZE, 1))
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    z = height[:, None] * view + np.sqrt(1 - height**2)[:, None] * aside
    found = mutual_information(view, z)
    known = kappa * (1 / np.tanh(kappa) - 1 / kappa) + np.log(kappa / np.sinh(kappa))
    assert found.nats == pytest.approx(known, abs=0.12)
    assert found.sigmas > 10


def test_an_angle_known_to_an_arc() -> None:
    """log(2π / arc), though no first harmonic of one predicts the other: z is twice the angle, blurred."""
    angle = RANDOM.uniform(0, 2 * np.pi, SIZE)
    blurred = angle + RANDOM.uniform(-0.5, 0.5, SIZE)
    points, seen = (np.stack([np.cos(a), np.sin(a)], 1) for a in (angle, blurred))
    assert mutual_information(points, seen).nats == pytest.approx(np.log(2 * np.pi), abs=0.1)


def test_classes_that_tell_the_hemisphere() -> None:
    """z takes two values: log 2, by the neighbours that coincide."""
    view = on_sphere(SIZE, 5)
    found = mutual_information(view, np.sign(view[:, 2:]))
    assert found.nats == pytest.approx(np.log(2), abs=0.06)
    both = mutual_information(np.sign(view[:, 2:]), np.sign(view[:, 2:]))
    assert both.nats == pytest.approx(np.log(2), abs=0.03)


def test_chance_is_chance() -> None:
    found = [mutual_information(on_sphere(400, s), np.random.default_rng(s).normal(size=(400, 8)), s) for s in range(8)]
    assert sum(one.sigmas > 4 for one in found) <= 1
    assert max(one.explained for one in found) < 0.1


def test_the_seed_alone_decides() -> None:
    view, z = on_sphere(300, 7), RANDOM.normal(size=(300, 2))
    assert mutual_information(view, z, seed=4) == mutual_information(view, z, seed=4)
