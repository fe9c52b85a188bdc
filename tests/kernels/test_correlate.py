"""Candidate poses: against the definition, the torch reference, and differences of the overlap itself."""

import math

import pytest
import torch
from interpreter import interpreted

from hypermol.errors import ConfigError
from hypermol.imaging import Lattice, random_rotations, shift_phase, slice_coordinates
from hypermol.kernels import Correlation, correlate_poses, correlate_reference, slice_grid, volume_to_grid

BOX = 16


def by_triton(grid, numerator, weight, rotation, shift, k, box):
    """The GPU's kernel in Triton's interpreter."""
    out = interpreted("correlate_triton").correlate_poses(grid, numerator, weight, rotation, shift, k, 2 * box)
    return Correlation(out[..., 0], out[..., 1:3], out[..., 3:6], out[..., 6])


@pytest.fixture(params=["compiled", "triton"])
def correlate(request):
    return correlate_poses if request.param == "compiled" else by_triton


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def asked(request):
    dtype, draw = request.param, torch.Generator().manual_seed(3)
    lattice = Lattice.disc(BOX, dtype=dtype)
    grid = volume_to_grid(torch.randn(BOX, BOX, BOX, generator=draw, dtype=dtype))
    numerator = torch.randn(3, lattice.size, 2, generator=draw, dtype=dtype)
    weight = torch.rand(3, lattice.size, generator=draw, dtype=dtype)
    rotation = random_rotations(12, draw, dtype).unflatten(0, (3, 4))
    shift = torch.randn(3, 4, 2, generator=draw, dtype=dtype)
    return grid, torch.view_as_complex(numerator), weight, rotation, shift, lattice.k


def test_overlap_and_power_are_those_of_the_definition(asked):
    grid, numerator, weight, rotation, shift, k = asked
    found = correlate_poses(*asked, BOX)
    slices = slice_grid(grid, slice_coordinates(k, rotation), BOX)[..., 0] * shift_phase(k, shift)
    tolerance = {"rtol": 1e-4, "atol": 1e-2} if k.dtype == torch.float32 else {"rtol": 1e-10, "atol": 1e-9}
    overlap = 2 * (numerator.conj()[:, None] * slices).real.sum(-1)
    power = 2 * (weight[:, None] * slices.abs() ** 2).sum(-1)
    torch.testing.assert_close(found.overlap, overlap.double(), **tolerance)
    torch.testing.assert_close(found.power, power.double(), **tolerance)


def test_gradient_is_that_of_the_overlap(asked):
    grid, numerator, weight, rotation, shift, k = (t.double() if t.is_floating_point() else t.cdouble() for t in asked)
    found, step = correlate_poses(grid, numerator, weight, rotation, shift, k, BOX), 1e-4
    for axis, by in enumerate(((step, 0.0), (0.0, step))):
        ahead, behind = (
            correlate_poses(grid, numerator, weight, rotation, shift + sign * shift.new_tensor(by), k, BOX).overlap
            for sign in (1, -1)
        )
        torch.testing.assert_close(found.gradient[..., axis], (ahead - behind) / (2 * step), rtol=1e-5, atol=1e-4)


def test_information_is_the_curvature_at_the_true_pose_without_noise(asked):
    grid, _, weight, rotation, shift, k = (t.double() if t.is_floating_point() else t.cdouble() for t in asked)
    slices = slice_grid(grid, slice_coordinates(k, rotation[:, 0]), BOX)[..., 0]
    seen = weight * slices * shift_phase(k, shift[:, 0]), weight, rotation[:, :1]
    found, step = correlate_poses(grid, *seen, shift[:, :1], k, BOX), 1e-4
    ahead, behind = (
        correlate_poses(grid, *seen, shift[:, :1] + sign * shift.new_tensor([step, 0.0]), k, BOX).gradient
        for sign in (1, -1)
    )
    torch.testing.assert_close(found.information[..., :2], (behind - ahead) / (2 * step), rtol=1e-6, atol=1e-4)


def test_compiled_agrees_with_the_reference(asked, correlate):
    found = correlate(*asked, BOX)
    tolerance = 1e-5 if asked[-1].dtype == torch.float32 else 1e-11
    plain = correlate_reference.correlate_poses(*asked, 2 * BOX)
    for one, other in zip((found.overlap, found.gradient, found.information, found.power), plain, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance * float(other.abs().max()))


def test_a_cut_of_the_grid_serves_a_band_that_it_holds(asked, correlate):
    grid, numerator, weight, rotation, shift, k = asked
    low = k[k.norm(dim=1) * BOX < 2.9]
    few = numerator[:, : len(low)], weight[:, : len(low)], rotation, shift, low, BOX
    cut = grid[8:24, 8:24, :9].contiguous()
    torch.testing.assert_close(correlate(cut, *few).overlap, correlate(grid, *few).overlap)
    plain = correlate_reference.correlate_poses(cut, *few[:-1], 2 * BOX)[0]
    torch.testing.assert_close(plain, correlate_poses(grid, *few).overlap, rtol=1e-4, atol=1e-3)
    with pytest.raises(ConfigError, match="does not hold"):
        correlate_poses(cut, numerator, weight, rotation, shift, k, BOX)


def test_a_pose_that_is_not_finite_shows(asked, correlate):
    grid, numerator, weight, rotation, shift, k = asked
    rotation = rotation.clone()
    rotation[1, 2] = math.nan
    found = correlate(grid, numerator, weight, rotation, shift, k, BOX).overlap
    assert torch.isnan(found[1, 2])
    assert torch.isfinite(found).sum() == 11
