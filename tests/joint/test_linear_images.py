"""Poses with z integrated out: the evidence that ppca has at a pose, that of one map, and shifts that climb."""

import dataclasses

import pytest
import torch

from hypermol.conformations import gaussian_posterior
from hypermol.imaging import rotvec_to_matrix
from hypermol.joint import LinearImages
from hypermol.kernels import volume_to_grid, volumes_to_grid
from hypermol.methods.particle_images import Images
from hypermol.particles import ImageSource, read_particles
from hypermol.poses import ScoredImages, refine_poses
from hypermol.simulation import Recipe, Truth, simulate

CONTRAST = 0.05


@pytest.fixture(scope="module", params=[None, (0.0, 40.0)], ids=["one image", "tilt pairs"])
def known(request, tmp_path_factory):
    """A batch of hinges with its mean map and two principal volumes of the truth."""
    folder = tmp_path_factory.mktemp("linear") / "data"
    tilts = {"tilts_deg": request.param} if request.param else {}
    simulate(Recipe.named("hinge", n=40, box=24, snr=1.0, seed=5, shift_px=1.0, **tilts), folder)
    truth, source = Truth.load(folder), ImageSource(read_particles(folder / "particles.star"))
    batch = next(iter(source.stream([torch.arange(truth.count)])))
    maps = torch.stack([truth.map(n).float() for n in range(20)])
    _, sizes, axes = torch.linalg.svd((maps - maps.mean(0)).flatten(1), full_matrices=False)
    components = (axes[:2] * sizes[:2, None] / 20**0.5).unflatten(1, maps.shape[1:])
    model = torch.cat([maps.mean(0)[None], components])
    images = ScoredImages.of(batch)
    scale = _scale(images, batch, volume_to_grid(maps.mean(0)))  # reading scales images by their noise
    return batch, LinearImages(images, CONTRAST), volumes_to_grid(scale * model, 2)


def _scale(images, batch, grid):
    pose = batch.rotation[:, None], (batch.shift / batch.pixel_size)[:, None]
    once, twice = (images.log_likelihood(factor * grid, *pose)[0].sum() for factor in (1, 2))
    power = 2 * once - twice
    return float((once + power / 2) / power)


def test_the_evidence_is_that_of_the_posed_particle(known):
    batch, images, grid = known
    turns = rotvec_to_matrix(0.1 * torch.randn(40, 3, 3, generator=torch.Generator().manual_seed(0)))
    rotation = turns @ batch.rotation[:, None]
    shift = (batch.shift / batch.pixel_size)[:, None] + torch.tensor([0.0, 0.4, -0.7])[:, None]
    found, same = images.log_likelihood(grid, rotation, shift)
    assert same is shift
    for place in range(3):
        posed = dataclasses.replace(batch, rotation=rotation[:, place], shift=shift[:, place] * batch.pixel_size)
        seen = Images.of(posed, 2)
        statistics = seen.moments([grid], torch.zeros(40, dtype=torch.long))
        torch.testing.assert_close(
            found[:, place], gaussian_posterior(*statistics, CONTRAST).log_evidence, rtol=1e-4, atol=1e-3
        )


def test_a_mean_alone_is_one_map(known):
    batch, images, grid = known
    pose = batch.rotation[:, None], (batch.shift / batch.pixel_size)[:, None]
    alone = LinearImages(images.images).log_likelihood(grid[..., :1], *pose)[0]
    torch.testing.assert_close(alone, images.images.log_likelihood(grid[..., :1], *pose)[0], rtol=1e-4, atol=1e-3)


def test_a_step_of_the_shift_goes_to_the_top(known):
    batch, images, grid = known
    rotation, shift = batch.rotation[:, None], (batch.shift / batch.pixel_size)[:, None]
    before = images.log_likelihood(grid, rotation, shift + 0.4)[0]
    moved = shift + 0.4
    for _ in range(4):
        after, moved = images.log_likelihood(grid, rotation, moved, 1.0)
    assert (after > before).double().mean() > 0.95
    for axis in range(shift.shape[-1]):  # the top: lower on either side
        aside = 0.3 * torch.eye(shift.shape[-1])[axis]
        around = [images.log_likelihood(grid, rotation, moved + sign * aside)[0] for sign in (-1, 1)]
        slope, bend = (around[1] - around[0]) / 2, around[0] + around[1] - 2 * after
        assert (slope.abs() < 0.2 * bend.abs() + 0.05).double().mean() > 0.9


def test_poses_climb_with_z_unknown(known):
    batch, images, grid = known
    draw = torch.Generator().manual_seed(1)
    off = rotvec_to_matrix(0.08 * torch.randn(40, 3, generator=draw)) @ batch.rotation
    shift = batch.shift / batch.pixel_size
    start, _ = images.log_likelihood(grid, off[:, None], shift[:, None])
    truth, _ = images.log_likelihood(grid, batch.rotation[:, None], shift[:, None])
    rotation, moved, value = refine_poses(images, grid, off, shift, 4.0)
    found, _ = images.log_likelihood(grid, rotation[:, None], moved[:, None])
    torch.testing.assert_close(found[:, 0], value, rtol=1e-3, atol=0.1)
    assert (found > start).double().mean() > 0.9
    assert (found > truth - 0.5).double().mean() > 0.85
