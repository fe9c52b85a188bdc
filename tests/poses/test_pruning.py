"""Pruning: by bound and by mass no candidate is lost that the rule must keep; where noise rules, the cap decides."""

import dataclasses

import pytest
import torch
from known_molecule import simulated

from hypermol.imaging import geodesic_angle_deg, so3_grid, spacing_deg
from hypermol.poses import SearchLevels, search_poses, shift_grid
from hypermol.poses.pruning import within_bound, within_mass

BOUND = SearchLevels(2, 5, first_band=6, shift_range=0.1, kept=(200,), pruning="bound", linear=True)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return simulated(tmp_path_factory.mktemp("clean") / "data", n=12, snr=1e6, shift_px=2.0)


def _every_pose(images, grid, order):
    """Log-likelihood [B, rotations × shifts] of all poses of a grid, one by one, and those poses."""
    rotation, shift = so3_grid(order).float(), shift_grid(2.0, 1.0, images.weight)
    turned = rotation.repeat_interleave(len(shift), 0)
    moved = shift.repeat(len(rotation), 1)
    count = len(images.weight)
    value = images.log_likelihood(grid, turned.expand(count, -1, 3, 3), moved.expand(count, -1, 2).contiguous())[0]
    return value, turned, moved


@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_the_bound_never_loses_the_best_of_all_poses(clean, noise) -> None:
    """Algorithm 1's test of every pose of a grid, against the errors of every pose in all shells, both one by one."""
    _, _, images, grid = clean
    draw = torch.Generator().manual_seed(0)
    off = torch.randn(images.numerator.shape, generator=draw, dtype=torch.complex64) * images.weight.sqrt()
    images = dataclasses.replace(images, numerator=images.numerator + noise * off)
    low = images.limit(8)
    value, turned, moved = _every_pose(low, grid, 1)
    whole = _every_pose(images, grid, 1)[0]
    order = value.argsort(1, descending=True)
    first = order[:, 0]
    sorted_values = value.gather(1, order)
    kept = within_bound(sorted_values, low, images, grid, turned[first], moved[first])
    survives = torch.zeros_like(kept).scatter(1, order, kept)
    best = whole.argmax(1)
    assert survives[torch.arange(len(best)), best].all()
    # what survives is exactly what Algorithm 1 says, from the errors themselves
    error_low, error_whole = low.energy[:, None] - value, images.energy[:, None] - whole
    expected = error_low < error_whole.gather(1, first[:, None])
    expected[torch.arange(len(first)), first] = True
    assert (survives == expected).double().mean() > 0.9999
    if noise == 0:
        assert float(kept.double().mean()) < 0.2  # it prunes


def test_the_search_by_bound_finds_what_is_there_and_ends_with_few(clean) -> None:
    truth, _, images, grid = clean
    found = search_poses(images, grid, BOUND)
    angle = geodesic_angle_deg(found.rotation[:, 0], torch.from_numpy(truth.rotation).float())
    assert float(angle.median()) < spacing_deg(5)
    assert float(angle.max()) < spacing_deg(3)  # a parent may be pruned whose child is best, as the paper says
    assert found.log_likelihood.shape[1] < 100


def test_in_noise_the_bound_prunes_nothing_and_the_cap_decides(tmp_path) -> None:
    _, _, images, grid = simulated(tmp_path / "data", n=12, snr=0.1, shift_px=2.0)
    levels = dataclasses.replace(BOUND, kept=(24,))
    found = search_poses(images, grid, levels)
    plain = search_poses(images, grid, dataclasses.replace(levels, pruning="number"))
    assert found.log_likelihood.shape[1] == 24
    assert (found.log_likelihood > -torch.inf).all()
    torch.testing.assert_close(found.log_likelihood[:, 0], plain.log_likelihood[:, 0])


def test_mass_keeps_the_fewest_that_hold_it() -> None:
    weight = torch.tensor([[0.6, 0.3, 0.09, 0.01], [0.9999, 0.0001, 1e-9, 1e-9]], dtype=torch.float64)
    kept = within_mass(weight.log(), 0.89)
    assert kept.tolist() == [[True, True, False, False], [True, False, False, False]]


def test_hypotheses_are_a_point_a_few_or_weights_that_sum_to_one(clean) -> None:
    _, _, images, grid = clean
    found = search_poses(images, grid, SearchLevels(last_order=4, kept=(8,), pruning="mass"))
    point, few = found.hypotheses(2.0, 1), found.hypotheses(2.0)
    assert point.size == 1
    torch.testing.assert_close(point.shift[:, 0], 2.0 * found.shift_px[:, 0])
    assert point.log_weight.abs().max() == 0
    assert (few.log_weight.diff(dim=1) <= 0).all()
    torch.testing.assert_close(few.log_weight.exp().sum(1), torch.ones(12, dtype=torch.float64))
