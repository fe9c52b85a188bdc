"""Maps grown at once: what they leave unexplained, against the sum over pixels, and head starts that share images."""

import numpy as np
import pytest
import torch

from hypermol.engine import Processes, State
from hypermol.imaging import shift_phase, slice_coordinates
from hypermol.kernels import slice_grid, volume_to_grid
from hypermol.maps import other_hand
from hypermol.methods import Conduct, configured, find_method
from hypermol.methods.abinitio_steps import BELOW, Steps
from hypermol.methods.competition import (
    best_pose,
    chosen,
    learned_head_start,
    learned_misfit,
    unexplained,
)
from hypermol.methods.job import make_ready
from hypermol.objectives import with_misfit
from hypermol.particles import Preparation, read_particles
from hypermol.simulation import Recipe, Truth, simulate


@pytest.fixture(scope="module")
def posed(tmp_path_factory):
    """A batch with CTF and noise at its true poses, and its truth."""
    folder = tmp_path_factory.mktemp("posed")
    simulate(Recipe(name="homogeneous", n=60, box=24, snr=0.5, seed=4, shift_px=1.5), folder)
    particles = read_particles(folder / "particles.star")
    job = make_ready(particles, configured(find_method("abinitio"), {}), Preparation(), 0, Conduct(), Processes())
    return job.source.load(torch.arange(60)).to("cpu"), Truth.load(folder), job.context


def test_what_is_unexplained_is_the_sum_over_pixels(posed):
    batch, truth, _ = posed
    low, grid = batch.limit(8), volume_to_grid(0.7 * truth.map(0).float())
    found = unexplained(low, grid, low.rotation, low.shift)
    slices = slice_grid(grid, slice_coordinates(low.lattice.k, low.rotation), 24)[..., 0]
    seen = low.ctf[:, 0] * slices * shift_phase(low.lattice.k, low.shift / low.pixel_size)
    left = (low.images[:, 0] - seen).abs().square() - low.variance[:, 0]
    for shell in range(9):
        own = low.lattice.shell == shell
        weight = low.lattice.weight[own]
        assert float(found[0, shell]) == pytest.approx(float((left[:, own] * weight).sum()), rel=1e-3, abs=1e-2)
        assert float(found[1, shell]) == pytest.approx(float((low.ctf[:, 0, own].square() * weight).sum()), rel=1e-4)


def test_the_true_map_leaves_noise_and_half_of_it_a_quarter_of_its_power(posed):
    batch, truth, _ = posed
    low, map_ = batch.limit(6), truth.map(0).float()
    none, half, whole = (
        (lambda sums: sums[0][2:] / sums[1][2:])(unexplained(low, volume_to_grid(s * map_), low.rotation, low.shift))
        for s in (1.0, 0.5, 0.0)
    )
    np.testing.assert_allclose((half - none) / (whole - none), 0.25, atol=0.05)
    assert bool((none.abs() < 0.1 * whole).all())


def test_misfit_counts_as_noise_where_the_transfer_function_lets_it_through(posed):
    low = posed[0].limit(5)
    misfit = torch.arange(6).double()
    added = with_misfit(low, misfit).variance - low.variance
    expected = low.ctf.square() * low.lattice.shell.float()
    torch.testing.assert_close(added, expected, rtol=1e-3, atol=1e-3 * float(low.variance.max()))


def test_misfit_follows_what_batches_leave_and_is_never_negative():
    misfit = torch.ones(2).double()
    for _ in range(60):
        misfit = learned_misfit(misfit, torch.tensor([[6.0, -3.0], [2.0, 1.0]]).double())
    torch.testing.assert_close(misfit, torch.tensor([3.0, 0.0]).double(), rtol=1e-3, atol=1e-4)


def test_a_map_that_is_ahead_of_others_does_not_keep_all_images():
    """Three maps, one better by 40 nats for every image, each image with a preference of its own of some 10."""
    value = 10 * torch.randn(300, 3, generator=torch.Generator().manual_seed(0)).double()
    value[:, 1] += 40
    assert float((value.argmax(1) == 1).double().mean()) > 0.95
    ahead = torch.zeros(3).double()
    for _ in range(60):
        ahead = learned_head_start(ahead, chosen(value, (value + ahead).softmax(1)))
    shares = torch.bincount((value + ahead).argmax(1), minlength=3) / 300
    torch.testing.assert_close(shares, torch.full((3,), 1 / 3), rtol=0, atol=0.05)
    assert float(ahead.mean()) == pytest.approx(0, abs=1e-9)


def test_nothing_seen_changes_nothing():
    before = torch.tensor([1.0, -1.0]).double()
    torch.testing.assert_close(learned_head_start(before, torch.zeros(4).double()), before)


def test_the_best_map_and_pose():
    value = torch.tensor([[[1.0, 5.0], [2.0, 3.0]], [[0.0, 1.0], [4.0, 2.0]]])
    label, pose = best_pose(value)
    assert label.tolist() == [0, 1]
    assert pose.tolist() == [1, 0]


def test_images_are_compared_with_the_classes_they_liked_before(posed):
    batch, truth, context = posed
    map_ = truth.map(0).float()
    steps = Steps(configured(find_method("classify-abinitio"), {}), context, classes=3)
    maps = torch.stack([map_, 0.5 * other_hand(map_), torch.randn_like(map_) * map_.std()])
    state = State({"maps": maps}, {}, {"band": 6})
    every = steps.climb(state, batch, None, last=2)
    first = batch.half == 0
    assert not bool(every.rows[BELOW][~first].any())
    assert bool((every.rows[BELOW][first].max(1).values == 0).all())
    known = {BELOW: every.rows[BELOW].clone()}
    known[BELOW][first] = torch.tensor([-1.0, 0.0, -2.0])  # as if all of them had liked the second map best
    one = steps.climb(State(state.tensors, known, state.data), batch, None, last=2, classes=1)
    torch.testing.assert_close(one.rows[BELOW][first], known[BELOW][first])  # the others are as they were
    two = steps.climb(State(state.tensors, known, state.data), batch, None, last=2, classes=2)
    assert bool((two.rows[BELOW][first][:, 2] == -2).all())
    torch.testing.assert_close(two.rows[BELOW][first][:, :2].max(1).values, torch.zeros(int(first.sum())))
    assert float(two.info["nll"]) <= float(one.info["nll"])
    unseen = {BELOW: torch.zeros_like(known[BELOW])}
    again = steps.climb(State(state.tensors, unseen, state.data), batch, None, last=2, classes=1)
    torch.testing.assert_close(again.rows[BELOW], every.rows[BELOW])
