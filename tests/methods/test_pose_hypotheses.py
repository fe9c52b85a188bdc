"""Several poses of each particle in each class: what is kept, what counts, and the posterior of class and pose."""

import math

import numpy as np
import pytest
import torch

from hypermol.engine import Processes
from hypermol.imaging import geodesic_angle_deg, random_rotations, rotvec_to_matrix
from hypermol.kernels import volumes_to_grid
from hypermol.methods import Conduct, find_method
from hypermol.methods.classify_images import own_overlap, weight_by_shell
from hypermol.methods.job import make_ready
from hypermol.methods.particle_images import Images
from hypermol.methods.pose_hypotheses import PoseHypotheses, alike, apart
from hypermol.particles import Preparation, read_particles
from hypermol.poses import Candidates, ScoredImages
from hypermol.simulation import Recipe, Truth, simulate


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Twelve particles of 16 px in two classes, a batch at its true poses, and grids of three wrong models."""
    folder = tmp_path_factory.mktemp("hypotheses")
    simulate(Recipe(name="discrete10", n=12, box=16, snr=1.0, seed=9, shift_px=1.0), folder)
    job = make_ready(
        read_particles(folder / "particles.star"), find_method("classify"), Preparation(), 0, Conduct(), Processes()
    )
    truth = Truth.load(folder)
    maps = torch.stack([truth.map_of_state(k).float() for k in range(2)])
    return job.source.load(torch.arange(12)), volumes_to_grid(maps)


def fixed(batch, turns):
    """A search that finds given turns of the true pose, [H, 3], and says that the first is best."""

    def find(images, rows, grid, label):
        rotation = batch.rotation[rows][:, None] @ rotvec_to_matrix(turns)
        shift = (batch.shift[rows] / batch.pixel_size)[:, None].expand(-1, len(turns), -1)
        return rotation, shift, torch.arange(len(turns), 0, -1).double().expand(len(rows), -1)

    return find


def test_statistics_at_the_true_pose_are_those_of_known_poses(seen):
    batch, grid = seen
    grids = [[one.contiguous() for one in grid.split(1, -1)]] * 2
    found = PoseHypotheses.found(ScoredImages.of(batch), grids, batch.half, fixed(batch, torch.zeros(1, 3)), 1.0)
    images = Images.of(batch, 2)
    power, overlap = images.separate([grid, grid], batch.half)
    torch.testing.assert_close(found.power[..., 0], power, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(found.overlap[..., 0], overlap, rtol=1e-4, atol=1e-2)
    assert bool(found.distinct.all())


def test_posterior_of_class_and_pose_counts_every_distinct_pose_once(seen):
    batch, grid = seen
    grids = [[one.contiguous() for one in grid.split(1, -1)]]
    turns = torch.tensor([[0.0, 0, 0], [0, 0, 0.005], [0.3, 0, 0]])  # the second is as good as the first
    which = torch.zeros_like(batch.half)
    found = PoseHypotheses.found(ScoredImages.of(batch), grids, which, fixed(batch, turns), 2.0)
    np.testing.assert_array_equal(found.distinct.numpy(), np.broadcast_to([True, False, True], (12, 2, 3)))
    weights, variance = torch.tensor([0.7, 0.3]).expand(12, 2), 0.09
    nothing = torch.zeros_like(found.overlap)
    posterior = found.posterior(weights, nothing, variance)
    a = torch.linspace(-2, 4, 6001, dtype=torch.float64)
    prior = torch.exp(-((a - 1) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)
    exponent = found.overlap[..., None] * a - found.power[..., None] * a**2 / 2
    top = exponent.amax()
    mass = (torch.exp(exponent - top) * prior).sum(-1) * (a[1] - a[0]) * weights[..., None] * found.distinct
    expected = mass / mass.sum((1, 2), keepdim=True)
    torch.testing.assert_close(posterior.probability.unflatten(1, (2, 3)), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(posterior.log_evidence, mass.sum((1, 2)).log() + top, rtol=1e-6, atol=1e-4)


def test_weight_by_shell_and_the_overlap_with_ones_own_noise(seen):
    batch, _ = seen
    images = Images.of(batch, 2)
    told = weight_by_shell(images.parts.weight, images.parts.lattice)
    torch.testing.assert_close(told.sum(1), images.parts.weight.double().sum(1))
    variance = torch.zeros(12, 2, 8, dtype=torch.float64)
    variance[:, 1, 3] = 2.0  # the noise of one class in one shell
    found = own_overlap(images, torch.full((12, 2), 0.5, dtype=torch.float64), variance)
    torch.testing.assert_close(found[:, 1], 2 * 0.5 * 2.0 * told[:, 3])
    assert bool((found[:, 0] == 0).all())


def test_kept_poses_lie_apart():
    start = random_rotations(5, generator=torch.Generator().manual_seed(1))
    turns = rotvec_to_matrix(torch.tensor([[0.0, 0, 0], [0.05, 0, 0], [0.5, 0, 0], [0, 0.9, 0]]))
    rotation = start[:, None] @ turns
    value = torch.tensor([4.0, 3, 2, 1]).double().expand(5, 4)
    shift = torch.arange(4.0)[None, :, None].expand(5, 4, 2).contiguous()
    found = Candidates(torch.zeros(5, 4, dtype=torch.long), rotation, shift, value)
    kept, moved = apart(found, 2, 10.0)
    np.testing.assert_array_equal(moved[..., 0].numpy(), np.tile([0.0, 2.0], (5, 1)))
    torch.testing.assert_close(kept[:, 1], rotation[:, 2])
    again, _ = apart(found, 2, 179.0)  # nothing is so far away: the best once more
    torch.testing.assert_close(again[:, 1], rotation[:, 0])
    angle = geodesic_angle_deg(rotation[:, :, None], rotation[:, None])
    np.testing.assert_array_equal(alike(rotation, rotation, 20.0).numpy(), (angle < 20).numpy())
