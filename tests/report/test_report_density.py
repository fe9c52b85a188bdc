"""Small maps for the 3-D view, against Gaussians that can be evaluated on any grid."""

import base64

import numpy as np
import pytest

from hypermol.report import MapSeries
from hypermol.report.density import bounds, contour_level, prepare_scenes, resample, telling_axis


def gaussian(box, field, centre=(6.0, -3.0, 2.0), sigma=7.0):
    """A Gaussian at (x, y, z) Å on ``box`` points across ``field`` Å; the origin is index box // 2."""
    grid = (np.arange(box) - box // 2) * field / box
    x, y, z = (np.exp(-((grid - at) ** 2) / (2 * sigma**2)) for at in centre)
    return (z[:, None, None] * y[:, None] * x).astype(np.float32)


@pytest.mark.parametrize(("old", "new"), [(32, 64), (64, 32), (48, 40), (32, 32), (40, 58)])
def test_resampling_keeps_values_and_origin(old, new):
    found = resample(gaussian(old, 96.0), new)
    np.testing.assert_allclose(found, gaussian(new, 96.0), atol=2e-4)


def test_bounds_hold_the_molecule_and_not_the_noise():
    random = np.random.default_rng(0)
    volume = gaussian(48, 96.0) + 0.03 * random.normal(size=(48,) * 3)
    for (low, high), centre in zip(bounds(volume), (2.0, -3.0, 6.0)):
        reach = 7.0 * np.sqrt(-2 * np.log(0.15)) / 2
        assert low == pytest.approx(24 + centre / 2 - reach - 2, abs=1.6)
        assert high == pytest.approx(24 + centre / 2 + reach + 3, abs=1.6)
    assert bounds(np.zeros((8, 8, 8))) == [(0, 8)] * 3


def test_the_first_contour_is_half_the_density_inside():
    random = np.random.default_rng(0)
    box = np.arange(40) - 20
    ball = (box[:, None, None] ** 2 + box[:, None] ** 2 + box**2 < 100).astype(float)
    level = contour_level(3.0 * ball + 0.1 * random.normal(size=ball.shape))
    assert level == pytest.approx(1.5, abs=0.1)


def test_a_scene_holds_the_maps_in_bytes_with_true_sizes():
    maps = [gaussian(32, 96.0, (shift, 0.0, 0.0)) for shift in (-9.0, 0.0, 9.0)]
    (scene,) = prepare_scenes([MapSeries("path", "Path", maps, 3.0, coordinates=np.zeros((3, 2)))])
    payload = scene.payload()
    assert scene.voxel == pytest.approx(1.5)
    size = payload["size"]
    assert size[0] > size[1] == size[2]
    frame = np.frombuffer(base64.b64decode(payload["frames"][1]["base64"]), np.uint8).reshape(size[::-1])
    assert frame.max() * scene.step == pytest.approx(1.0, rel=0.02)
    for axis in range(3):
        assert not frame.take([0, -1], axis=axis).any()
    # x is fastest: the extent along it is the largest, and what moves lies at both of its ends
    change = np.frombuffer(base64.b64decode(payload["change"]["base64"]), np.uint8).reshape(size[::-1])
    middle = tuple(length // 2 for length in change.shape)
    assert change[middle] < 0.7 * change[middle[0], middle[1], middle[2] - 6]
    assert payload["coordinates"].shape == (3, 2)


def test_the_budget_is_kept():
    maps = [gaussian(64, 96.0, sigma=14.0)] * 10
    series = [MapSeries(f"path{number}", "Path", maps, 1.5) for number in range(4)]
    scenes = prepare_scenes(series, budget=1_200_000)
    assert sum(scene.frames.size + scene.change.size for scene in scenes) <= 1_200_000
    finer = prepare_scenes(series[:1], budget=1_200_000)
    assert finer[0].voxel < scenes[0].voxel


def test_maps_without_surface_are_left_out():
    assert prepare_scenes([]) == []
    assert prepare_scenes([MapSeries("zero", "Zero", [np.zeros((8, 8, 8))], 1.0)]) == []
    assert prepare_scenes([MapSeries("negative", "Negative", [-np.ones((8, 8, 8))], 1.0)]) == []


def test_the_view_is_the_one_in_which_the_motion_shows():
    box = 32
    for moving, best in ((0, {1, 2}), (1, {0, 2}), (2, {0, 1})):
        maps = []
        for shift in (-15.0, 0.0, 15.0):
            centre = [0.0, 0.0, 0.0]
            centre[2 - moving] = shift
            maps.append(gaussian(box, 96.0, centre))
        assert telling_axis(maps) in best
