"""Two halves' landscapes by their maps: the same motion, another, none; and the scales beside them."""

import numpy as np
import pytest
import torch

from hypermol.errors import DataError
from hypermol.metrics import landscape_agreement, map_distances
from hypermol.validation.map_landscapes import Scaled, compared_landscapes, maps_at
from hypermol.validation.verdict import verdict

BOX, PIXEL = 16, 4.0
SCALED = ("wasserstein", "quantiles", "gromov")


def blob(x, y, z, width=1.5):
    axis = torch.arange(BOX, dtype=torch.float64) - BOX // 2
    square = (axis[:, None, None] - z) ** 2 + (axis[:, None] - y) ** 2 + (axis - x) ** 2
    return torch.exp(-square / (2 * width**2))


BODY = 3 * blob(0, 0, 0, 2.5)


def hinge(angle, tilt=0.0):
    """A blob that swings about z, its arc tilted."""
    return BODY + blob(4 * np.cos(angle), 4 * np.sin(angle) * np.cos(tilt), 4 * np.sin(angle) * np.sin(tilt))


def swung(count, seed, noise=0.0, **how):
    draws = np.random.default_rng(seed)
    maps = torch.stack([hinge(angle, **how) for angle in draws.uniform(-0.9, 0.9, count)])
    return maps + noise * torch.from_numpy(draws.normal(size=maps.shape))


def test_halves_of_one_landscape_are_as_close_as_its_parts():
    found = compared_landscapes(swung(60, 1), 2.5 * swung(50, 2), PIXEL)
    assert found["maps"] == [60, 50]
    assert found["means_apart"] < 0.4
    assert found["spread"][0] == pytest.approx(found["spread"][1], rel=0.15)
    for name in SCALED:
        record = found[name]
        assert record["value"] < record["same_95"] + 0.03, name
        assert record["same"] < 0.15, name
        assert abs(record["share"]) < 0.1, name
    assert min(found[name]["chance"] for name in SCALED) > 0.5


def test_another_motion_is_unrelated_though_its_shape_is_the_same():
    """The arc stands on end in the second half: no pairing helps, but both are arcs of one length."""
    found = compared_landscapes(swung(60, 1), swung(60, 2, tilt=np.pi / 2), PIXEL)
    assert found["wasserstein"]["value"] > found["wasserstein"]["same_95"] + 0.2
    assert found["wasserstein"]["share"] > 0.4
    assert abs(found["gromov"]["share"]) < 0.1


def test_noise_has_nothing_in_common():
    draws = [torch.from_numpy(np.random.default_rng(seed).normal(size=(40, BOX, BOX, BOX))) for seed in (1, 2)]
    found = compared_landscapes(5 * BODY + draws[0], 5 * BODY + draws[1], PIXEL)
    for name in ("wasserstein", "quantiles"):
        assert found[name]["value"] == pytest.approx(found[name]["chance"], abs=0.1)
        assert found[name]["value"] > found[name]["chance_5"] - 0.05


def test_the_figures_are_those_of_the_metrics():
    """Without noise and mean maps, wide spheres: what ``landscape_agreement`` says of the centred maps."""
    first, second = swung(40, 3), swung(40, 4)
    found = compared_landscapes(first, second, PIXEL)
    centred = [maps - maps.mean(0) for maps in (first, second)]
    table = map_distances(torch.cat(centred))
    known = landscape_agreement(table[:40, :40], table[40:, 40:], table[:40, 40:], quantiles=5)
    assert found["wasserstein"]["value"] == pytest.approx(known.relative, abs=0.05)
    assert found["quantiles"]["value"] == pytest.approx(known.quantiles.relative, abs=0.02)
    assert found["wasserstein"]["same"] == pytest.approx(known.floor, abs=0.05)


def test_nothing_moves_or_nothing_fits():
    still = BODY.repeat(20, 1, 1, 1)
    found = compared_landscapes(still, swung(20, 1), PIXEL)
    assert all(found[name] is None for name in SCALED)
    assert found["spread"][0] < 1e-12
    assert "do not correlate" in compared_landscapes(still, -swung(20, 1), PIXEL)["note"]
    with pytest.raises(DataError, match="at least 8 maps"):
        compared_landscapes(still[:5], still, PIXEL)


def test_the_record_by_hand():
    record = Scaled(0.4, np.array([0.1, 0.3]), np.array([0.8, 1.0, 0.9])).record()
    assert record["share"] == pytest.approx((0.4 - 0.2) / (0.9 - 0.2))
    assert record["same_95"] == pytest.approx(0.29)
    assert record["chance_5"] == pytest.approx(0.81)
    assert np.isnan(Scaled(0.4, np.ones(3), np.ones(3)).record()["share"])


def test_maps_are_drawn_by_seed_and_made_small():
    asked = []

    def decode(z):
        asked.append(float(z[0, 0]))
        axis = torch.arange(64) - 32
        return np.float32(z[0, 0]) * torch.cos(2 * np.pi * axis * 3 / 64).repeat(1, 64, 64, 1).numpy()

    z = np.arange(30.0)[:, None]
    maps = maps_at(decode, z, count=6)
    assert maps.shape == (6, 48, 48, 48)
    assert asked == sorted(set(asked))
    axis = torch.arange(48) - 24
    np.testing.assert_allclose(maps[2, 0, 0], asked[2] * torch.cos(2 * np.pi * axis * 3 / 48), atol=1e-3)
    first = list(asked)
    maps_at(decode, z, count=6)
    assert asked[6:] == first


def test_the_verdict_puts_it_in_words():
    axes = [{"axis": 1, "significance": 20.0, "resolution": 7.0, "real": True, "pose_and_ctf": 0.0, "order": None}]
    found = {"latent": True, "axes": axes, "noise": None, "still": {"resolution": 6.0}}
    by_maps = {"value": 0.2, "chance_5": 0.7, "share": 0.125}
    lines = verdict(found | {"landscape_maps": {"wasserstein": by_maps}})
    assert any("12 % of the way" in line and "closer than by chance" in line for line in lines)
    lines = verdict(found | {"landscape_maps": {"wasserstein": by_maps | {"value": 0.9, "share": 1.02}}})
    assert any("100 % of the way" in line and "nothing to do with each other" in line for line in lines)
    assert not any("by their maps" in line for line in verdict(found | {"landscape_maps": {"wasserstein": None}}))
