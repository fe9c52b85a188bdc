"""Otsu's threshold against its definition."""

import numpy as np
import pytest

from hypermol.maps import otsu_threshold


def test_it_has_the_largest_variance_between_groups():
    draws = np.random.default_rng(0)
    values = np.concatenate([draws.normal(0, 1, 3000), draws.normal(6, 1.5, 800)])

    def between(level):
        low, high = values[values < level], values[values >= level]
        return len(low) * len(high) * (low.mean() - high.mean()) ** 2

    edges = np.histogram(values, bins=256)[1][1:-1]
    best = edges[np.argmax([between(edge) for edge in edges])]
    width = edges[1] - edges[0]
    assert otsu_threshold(values) == pytest.approx(best, abs=2 * width)
    assert otsu_threshold(3 * values.reshape(38, 100) + 1) == pytest.approx(3 * otsu_threshold(values) + 1, rel=1e-9)


def test_nothing_to_separate():
    assert otsu_threshold(np.zeros(0)) == 0
