"""Maps from the images near a conformation: nearest by their own uncertainty, bandwidth by cross-validation."""

import numpy as np
import pytest
import torch

from hypermol.errors import DataError
from hypermol.maps import low_pass
from hypermol.metrics import fsc, fsc_mean
from hypermol.particles import ImageSource, read_particles
from hypermol.reconstruction import nearest, neighbour_sizes, regression_map
from hypermol.reconstruction.regression import _bands, mixed_maps
from hypermol.simulation import Recipe, Truth, simulate


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    folder = tmp_path_factory.mktemp("regression") / "data"
    simulate(Recipe(name="hinge", n=2400, box=32, snr=0.5, seed=6), folder)
    return ImageSource(read_particles(folder / "particles.star")), Truth.load(folder)


def test_a_map_near_a_conformation_is_closer_to_it_than_all_images_are_and_than_few_are(moving):
    source, truth = moving
    z, mask = truth.conformation[:, :1], truth.mask().float()
    particle = int(np.argsort(z[:, 0])[150])
    exact, order = truth.map(particle).float(), nearest(z, z[particle])

    def score(sizes):
        return float(fsc_mean(fsc(regression_map(source, order, sizes, mask).map, exact, mask)))

    best = score(neighbour_sizes(len(z)))
    scores = best, score([2400]), score([150])
    assert best > scores[1] + 0.03, scores
    assert best > scores[2], scores


def test_bandwidth_is_large_where_nothing_moves_and_small_where_something_does():
    """Known maps: the left half is the same in all neighbourhoods but for noise, the right half blurs with size."""
    box, generator = 32, torch.Generator().manual_seed(0)
    base = low_pass(torch.randn(box, box, box, generator=generator), 1.0, 2.6)
    base = base / base.std()
    blur = torch.stack([torch.roll(base, s, 0) for s in range(-3, 4)]).mean(0)
    right = (torch.arange(box) >= box // 2).float().expand(box, box, box)
    maps = [base, base, base * (1 - right) + blur * right]
    noise = (
        torch.randn(3, 2, box, box, box, generator=generator) * torch.tensor([0.8, 0.6, 0.2])[:, None, None, None, None]
    )
    halves = torch.stack([m.expand(2, box, box, box) for m in maps]) + noise
    inside = torch.ones(box, box, box)
    for region, wide in ((1 - right, True), (right, False)):
        mixed, _ = mixed_maps(halves, inside)
        core = region * (torch.roll(region, 5, 2) * torch.roll(region, -5, 2))
        error = ((mixed.mean(0) - base) * core).square().sum() / core.sum()
        other = [((halves[i].mean(0) - base) * core).square().sum() / core.sum() for i in range(3)]
        assert error < (0.5 * other[1] if wide else 0.7 * other[2])


def test_bands_add_up_to_one():
    torch.testing.assert_close(sum(gain for _, gain in _bands(64)), torch.ones(32, dtype=torch.float64))


def test_distance_counts_in_units_of_each_particles_own_uncertainty():
    z = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.1], [3.0, 0.0]])
    covariance = np.stack([np.diag([1.0, 1.0])] * 4)
    covariance[1] *= 0.1
    np.testing.assert_array_equal(nearest(z, np.zeros(2), covariance), [0, 2, 3, 1])


def test_too_few_particles_are_refused():
    with pytest.raises(DataError, match="at least"):
        neighbour_sizes(100)
