"""Distances between maps against scipy and by hand."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from hypermol.errors import DataError
from hypermol.metrics import cross_distances, map_distances, physical, same_scale


def maps(count, box=8, seed=0, dtype=torch.float32):
    return torch.randn(count, box, box, box, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("masked", [False, True])
def test_distances_are_scipys(masked, monkeypatch):
    monkeypatch.setattr(physical, "CHUNK", 100)
    base = 50 * maps(1, seed=9)  # a common map, far larger than the differences
    first, second, mask = base + maps(6), base + maps(4, seed=1), maps(1, seed=2)[0].sigmoid()
    flat = [(stack.double() * (mask.double() if masked else 1)).flatten(1).numpy() for stack in (first, second)]
    given = mask if masked else None
    np.testing.assert_allclose(map_distances(first, given), cdist(flat[0], flat[0]), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(cross_distances(first, second, given), cdist(*flat), rtol=1e-9)


def test_distances_solved_by_hand():
    stack = torch.zeros(3, 4, 4, 4)
    stack[1, 0, 0, 0], stack[2, 1, 1, 1] = 3.0, 4.0
    np.testing.assert_allclose(map_distances(stack), [[0, 3, 4], [3, 0, 5], [4, 5, 0]], atol=1e-12)


def test_equal_maps_are_exactly_equal():
    same = maps(1).expand(5, -1, -1, -1) * 7.3
    assert not map_distances(same).any()
    assert not cross_distances(same, same[:2]).any()
    pair = torch.cat([maps(2), maps(2)])
    found = map_distances(pair)
    assert found[0, 2] == found[1, 3] == 0.0
    np.testing.assert_array_equal(found, found.T)


def test_distance_does_not_know_the_coordinates_of_z():
    """A map that moves by z and by any function of z: the distances are those of the maps, in the same order."""
    z = torch.linspace(-1, 1, 9)
    base, direction = maps(1)[0], maps(1, seed=1)[0]
    found = map_distances(base + z[:, None, None, None] * direction)
    length = float(direction.double().norm())
    np.testing.assert_allclose(found, (z[:, None] - z).abs().numpy() * length, rtol=1e-5, atol=1e-5)


def test_same_scale():
    reference = maps(5) + 3
    scaled = same_scale(reference[:3] * 0.25, reference[:3])
    torch.testing.assert_close(scaled, reference[:3])
    with pytest.raises(DataError, match="same contrast"):
        same_scale(-reference, reference)
