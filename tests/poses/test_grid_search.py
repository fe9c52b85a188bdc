"""Poses by search: found wherever they are, with tilts too, and as likely as the best of a whole fine grid."""

import dataclasses

import pytest
import torch
from known_molecule import simulated

from hypermol.errors import ConfigError
from hypermol.imaging import geodesic_angle_deg, so3_grid, spacing_deg
from hypermol.poses import ScoredImages, SearchLevels, search_poses

LEVELS = SearchLevels(last_order=5, shift_range=0.1)


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    return simulated(tmp_path_factory.mktemp("search") / "data", n=60, snr=0.5, shift_px=3.0)


def errors(found, truth, batch):
    angle = geodesic_angle_deg(found.rotation[:, 0], torch.from_numpy(truth.rotation).float())
    off = (found.shift_px[:, 0] - batch.shift / batch.pixel_size).norm(dim=1)
    return angle, off


def test_only_different_tilts_of_one_particle_tell_the_hand(tmp_path):
    _, _, images, _ = simulated(tmp_path / "flat", n=2, snr=1.0)
    _, _, pairs, _ = simulated(tmp_path / "pairs", n=2, snr=1.0, tilts_deg=(0.0, 45.0))
    _, _, leaning, _ = simulated(tmp_path / "leaning", n=2, snr=1.0, tilts_deg=(45.0,))
    assert [one.tells_hand for one in (images, pairs, leaning)] == [False, True, False]


def test_poses_are_found_from_nothing(single):
    truth, batch, images, grid = single
    found = search_poses(images, grid, LEVELS)
    angle, off = errors(found, truth, batch)
    assert float(angle.median()) < 1.5 * spacing_deg(5)
    assert float((angle < 4 * spacing_deg(5)).double().mean()) >= 0.95
    assert float(off.median()) < 0.2
    assert (found.log_likelihood.diff(dim=1) <= 0).all()


def test_what_is_found_is_at_least_as_likely_as_the_truth_and_as_any_of_a_whole_grid(single):
    truth, batch, images, grid = single
    found = search_poses(images, grid, LEVELS)
    best = images.log_likelihood(grid, found.rotation, found.shift_px)[0].max(1).values
    rotation = torch.from_numpy(truth.rotation).float()[:, None]
    shift = (batch.shift / batch.pixel_size)[:, None]
    true = images.log_likelihood(grid, rotation, shift)[0][:, 0]
    assert float((best > true - 2).double().mean()) >= 0.9  # the grid's own spacing costs a little
    every = so3_grid(3).float()
    for i in range(3):
        one = ScoredImages(
            images.numerator[[i]], images.weight[[i]], images.tilt[[i]], images.image_shift_px[[i]], images.lattice
        )
        at = shift[i].expand(1, len(every), 2)
        assert best[i] > one.log_likelihood(grid, every[None], at)[0].max()


def test_one_pose_serves_all_images_of_a_tilt_pair(tmp_path):
    truth, batch, images, grid = simulated(tmp_path / "data", n=40, snr=0.3, shift_px=2.0, tilts_deg=(0.0, 45.0))
    found = search_poses(images, grid, LEVELS)
    assert found.shift_px.shape[-1] == 3
    angle, off = errors(found, truth, batch)
    assert float(angle.median()) < 1.5 * spacing_deg(5)
    assert float(off.median()) < 0.4


def test_flat_particles_among_tilt_pairs_are_found_as_if_alone(tmp_path):
    truth, batch, images, grid = simulated(tmp_path / "data", n=40, snr=1.0, shift_px=2.0, tilts_deg=(0.0, 45.0))
    flat = torch.arange(40) < 20
    weight, numerator = images.weight.clone(), images.numerator.clone()
    weight[flat, 1], numerator[flat, 1] = 0, 0
    mixed = dataclasses.replace(images, weight=weight, numerator=numerator)
    assert (mixed.tell_depth == ~flat).all()
    found = search_poses(mixed, grid, LEVELS)
    alone = ScoredImages(
        *(part[flat, :1] for part in (numerator, weight, images.tilt, images.image_shift_px)), images.lattice
    )
    same = search_poses(alone, grid, LEVELS)
    worst = (found.log_likelihood[flat, 0] - same.log_likelihood[:, 0]).min()
    assert float(worst) > -0.5  # nats: the coarsest level climbs along shifts where there is depth, else not
    assert float(found.shift_px[flat, 0, 2].abs().max()) < 1e-6
    angle, _ = errors(found, truth, batch)
    assert float(angle[~flat].median()) < 1.5 * spacing_deg(5)


def test_without_noise_all_are_found(tmp_path):
    truth, batch, images, grid = simulated(tmp_path / "data", n=40, snr=1e4)
    angle, _ = errors(search_poses(images, grid, LEVELS), truth, batch)
    assert float(angle.max()) < 1.5 * spacing_deg(5)


def test_levels_that_lead_nowhere_are_refused():
    with pytest.raises(ConfigError, match="orders must grow"):
        SearchLevels(first_order=4, last_order=3)
    with pytest.raises(ConfigError, match="at least 1"):
        SearchLevels(kept=())
