"""Correlation in a mask against numpy, and what it says of nothing."""

import numpy as np
import pytest
import torch

from hypermol.errors import DataError
from hypermol.metrics import map_correlation


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_against_numpy():
    a, b = noise(2, 10, 10, 10), noise(2, 10, 10, 10, seed=1)
    b = 0.4 * a + b + 7
    solid = noise(10, 10, 10, seed=2) > 0.3
    for row, x, y in zip(map_correlation(a, b), a, b):
        assert float(row) == pytest.approx(np.corrcoef(x.flatten(), y.flatten())[0, 1], abs=1e-12)
    for row, x, y in zip(map_correlation(a, b, solid.double()), a, b):
        assert float(row) == pytest.approx(np.corrcoef(x[solid], y[solid])[0, 1], abs=1e-12)
    soft = solid.double() * noise(10, 10, 10, seed=3).sigmoid()
    covariance = np.cov(a[0].flatten(), b[0].flatten(), aweights=soft.flatten().numpy())
    expected = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
    assert float(map_correlation(a[0], b[0], soft)) == pytest.approx(expected, abs=1e-12)


def test_the_truth_and_nothing():
    a = noise(24, 24, 24)
    assert float(map_correlation(a, 3 * a + 2)) == pytest.approx(1.0)
    assert float(map_correlation(a, -a)) == pytest.approx(-1.0)
    assert abs(float(map_correlation(a, noise(24, 24, 24, seed=1)))) < 4 / 24**1.5
    assert float(map_correlation(a, torch.full_like(a, 0.1))) == 0
    assert map_correlation(a.float(), a.float()).dtype == torch.float32


def test_refusals():
    a = noise(8, 8, 8)
    for mask in (torch.zeros_like(a), -torch.ones_like(a)):
        with pytest.raises(DataError, match="mask of weights"):
            map_correlation(a, a, mask)
    with pytest.raises((DataError, TypeError)):
        map_correlation(a, noise(10, 10, 10))
