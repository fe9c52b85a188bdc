"""Landscapes of two half-sets: known motions, other coordinates of z, and nothing to agree on."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA

from hypermol.errors import DataError
from hypermol.metrics import (
    cross_distances,
    landscape_agreement,
    landscape_distance,
    leading_coordinate,
    map_distances,
    quantile_agreement,
    same_scale,
    wasserstein,
)

BOX = 8


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


MEAN, MOTION, OTHER = 5 * noise(BOX, BOX, BOX), noise(BOX, BOX, BOX, seed=1), noise(BOX, BOX, BOX, seed=2)


def coordinates(count, seed):
    return np.random.default_rng(seed).uniform(-1, 1, count)


def along(motion, z):
    return MEAN + torch.from_numpy(z)[:, None, None, None] * motion


def test_two_halves_of_one_motion_agree():
    first, second = along(MOTION, coordinates(80, 1)), along(MOTION, coordinates(70, 2))
    found = landscape_distance(first, second)
    assert found.quantiles.relative < 0.03
    assert found.relative < 0.06
    assert found.relative == pytest.approx(found.floor, abs=0.05)
    assert found.gromov.relative < 0.05


def test_figures_by_other_routes():
    z, y = coordinates(40, 1), coordinates(40, 2)
    first, second = along(MOTION, z), along(MOTION, y)
    length = float(MOTION.norm())
    found = landscape_distance(first, second, quantiles=5)
    flat = [maps.flatten(1).numpy() for maps in (first, second)]
    assert found.wasserstein == pytest.approx(wasserstein(*flat, order=2.0), rel=1e-9)
    assert found.wasserstein == pytest.approx(length * np.sqrt(np.mean((np.sort(z) - np.sort(y)) ** 2)), rel=1e-9)
    means = [np.sort(x).reshape(5, 8).mean(1) for x in (z, y)]
    straight = np.sort(np.abs(means[0] - means[1]) * length)
    np.testing.assert_allclose(np.sort(found.quantiles.distance), straight, rtol=1e-6)
    every = (length * (means[0][:, None] - means[1])) ** 2
    assert found.quantiles.relative == pytest.approx(np.mean(straight**2) / every.mean(), rel=1e-6)


def test_the_same_particles_agree_wholly():
    maps = along(MOTION, coordinates(40, 3))
    found = landscape_distance(maps, maps[torch.randperm(40)])
    assert found.wasserstein == pytest.approx(0.0, abs=1e-6)
    assert found.quantiles.relative == pytest.approx(0.0, abs=1e-9)
    assert found.gromov.distance == pytest.approx(0.0, abs=1e-6)
    assert found.floor > found.wasserstein  # halves of few maps differ, the same maps do not


def test_the_coordinates_of_z_do_not_matter():
    """Quantiles along z, along a growing function of it, along -z: the same figure; maps alone give it too."""
    z, y = coordinates(60, 4), coordinates(60, 5)
    first, second = along(MOTION, z), along(MOTION, y)
    inner = map_distances(first), map_distances(second), cross_distances(first, second)
    straight = quantile_agreement(*inner, z, y)
    warped = quantile_agreement(*inner, np.exp(4 * z), -(y**3))
    assert not straight.flipped
    assert warped.flipped
    np.testing.assert_allclose(warped.distance, straight.distance, atol=1e-6)
    assert landscape_agreement(*inner).quantiles.relative == pytest.approx(straight.relative, rel=1e-6)


def test_gromov_needs_no_common_frame():
    """Maps of the other half turned by 90° and their motion with them: only the inner distances still agree."""
    first = along(MOTION, coordinates(50, 6))
    turned = along(MOTION, coordinates(50, 7)).rot90(1, (1, 2))
    found = landscape_distance(first, turned)
    assert found.relative > 0.9
    assert found.quantiles.relative > 0.9
    assert found.gromov.relative < 0.1


def test_nothing_in_common():
    moving = along(MOTION, coordinates(60, 8))
    rigid = MEAN.expand(60, BOX, BOX, BOX)
    other = along(OTHER, coordinates(60, 9))
    for second in (rigid, other):
        found = landscape_distance(moving, second)
        assert found.relative == pytest.approx(1.0, abs=0.06)
        assert found.quantiles.relative == pytest.approx(1.0, abs=0.05)
    assert landscape_distance(moving, rigid).gromov.relative == pytest.approx(1.0)


def test_noise_for_maps_has_nothing_to_agree_on():
    first, second = (MEAN + noise(40, BOX, BOX, BOX, seed=seed) for seed in (10, 11))
    found = landscape_distance(first, second)
    assert found.relative > 0.9
    assert found.relative == pytest.approx(found.floor, abs=0.02)  # and no half agrees with itself either
    assert found.quantiles.relative > 0.85
    assert found.gromov.relative < 0.05  # clouds of noise have the same shape: this ruler alone proves no motion


def test_two_rigid_halves_have_no_motion_to_compare():
    rigid = MEAN.expand(20, BOX, BOX, BOX)
    found = landscape_distance(rigid, rigid)
    assert found.wasserstein == 0.0
    assert np.isnan(found.quantiles.relative)
    assert np.isnan(found.gromov.relative)


def test_leading_coordinate_is_the_first_principal_component():
    maps = along(MOTION, coordinates(50, 12)) + 0.3 * noise(50, BOX, BOX, BOX, seed=13)
    oracle = PCA(1).fit_transform(maps.flatten(1).numpy())[:, 0]
    found = leading_coordinate(map_distances(maps))
    np.testing.assert_allclose(found * np.sign(found @ oracle), oracle, atol=1e-6)


def test_masks_and_scales():
    mask = torch.zeros(BOX, BOX, BOX, dtype=torch.float64)
    mask[2:6, 2:6, 2:6] = 1
    z = coordinates(30, 14)
    outside = along(MOTION, z) + 10 * (1 - mask) * noise(30, BOX, BOX, BOX, seed=15)
    assert landscape_distance(along(MOTION, z), outside, mask).wasserstein == pytest.approx(0.0, abs=1e-6)
    scaled = same_scale(0.1 * along(MOTION, z), along(MOTION, z))
    assert landscape_distance(along(MOTION, z), scaled).wasserstein == pytest.approx(0.0, abs=1e-6)


def test_too_few_maps_are_refused():
    maps = along(MOTION, coordinates(5, 16))
    with pytest.raises(DataError, match="at least 10 maps of each, found 5"):
        landscape_distance(maps, maps)
    flat = np.random.default_rng(0).normal(size=(6, 3))
    assert landscape_agreement(*[cdist(flat, flat)] * 3, quantiles=3).wasserstein == 0.0
