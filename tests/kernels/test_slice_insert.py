"""Slice and insert: each implementation against the reference, adjointness, gradients, symmetry, threads."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from interpreter import interpreted

import hypermol.kernels as kernels
from hypermol.errors import ConfigError, DataError
from hypermol.kernels import slice_insert, slice_insert_numba

BOX = 8


class Compiled:
    """The numba functions behind the tensor interface of the reference."""

    @staticmethod
    def slice_grid(grid, k3, box, oversampling=2):
        return torch.from_numpy(slice_insert_numba.slice_grid(grid.numpy(), k3.numpy(), box, oversampling))

    @staticmethod
    def insert_grid(values, weights, k3, box, oversampling=2, out=None):
        weights = None if weights is None else weights.numpy()
        target = None if out is None else tuple(None if t is None else t.numpy() for t in out)
        found = slice_insert_numba.insert_grid(
            values.resolve_conj().numpy(), weights, k3.numpy(), box, oversampling, target
        )
        return tuple(None if array is None else torch.from_numpy(array) for array in found)


@pytest.fixture(params=[slice_insert, Compiled, kernels, "triton"], ids=["reference", "numba", "dispatch", "triton"])
def kernel(request):
    return interpreted("slice_insert_triton") if request.param == "triton" else request.param


def sample(seed=0, channels=2, points=40, oversampling=2, dtype=torch.float64, reach=0.43):
    generator = torch.Generator().manual_seed(seed)
    shape = (*kernels.grid_shape(BOX, oversampling), channels)
    complex_type = torch.complex128 if dtype == torch.float64 else torch.complex64
    grid = torch.randn(shape, generator=generator, dtype=complex_type)
    k3 = (torch.rand(3, points, 3, generator=generator, dtype=dtype) - 0.5) * 2 * reach
    values = torch.randn(3, points, channels, generator=generator, dtype=complex_type)
    weights = torch.rand(3, points, generator=generator, dtype=dtype)
    return grid, k3, values, weights


def by_definition(grid, k, size):
    """Trilinear interpolation of the full Hermitian lattice that the half grid stands for, point by point."""
    depth, height, _, channels = grid.shape
    flip = k[0] < 0 or (k[0] == 0 and (k[1] < 0 or (k[1] == 0 and k[2] < 0)))
    point = -k * size if flip else k * size
    base = np.floor(point).astype(int)
    total = np.zeros(channels, complex)
    for corner in np.ndindex(2, 2, 2):
        x, y, z = base + corner
        weight = np.prod(1 - np.abs(point - (x, y, z)))
        total += weight * grid[z + depth // 2, y + height // 2, x]
    return total.conj() if flip else total


def test_values_by_definition(kernel):
    grid, k3, _, _ = sample()
    k3[0, :4] = torch.tensor([[0, 0.1, 0.2], [0, -0.1, 0.2], [0, 0, -0.3], [0, 0, 0]])
    found = kernel.slice_grid(grid, k3, BOX)
    expected = [by_definition(grid.numpy(), k, 2 * BOX) for k in k3.reshape(-1, 3).numpy()]
    np.testing.assert_allclose(found.reshape(-1, 2).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("oversampling", [1, 2, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_insert_is_the_adjoint_of_slice(kernel, oversampling, dtype):
    # reach 0.7 cycles/pixel: some samples lie beyond the grid, where both must do nothing
    grid, k3, values, weights = sample(1, oversampling=oversampling, dtype=dtype, reach=0.7)
    sliced = kernel.slice_grid(grid, k3, BOX, oversampling)
    inserted, weight_grid = kernel.insert_grid(values, weights, k3, BOX, oversampling)
    assert sliced.dtype == inserted.dtype == grid.dtype
    assert weight_grid.dtype == dtype
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    left = (sliced.conj() * values).real.double().sum()
    right = (grid.conj() * inserted).real.double().sum()
    torch.testing.assert_close(left, right, rtol=tolerance, atol=100 * tolerance)
    ones = torch.zeros_like(grid) + 1
    torch.testing.assert_close(
        (kernel.slice_grid(ones, k3, BOX, oversampling)[..., 0].real * weights).sum(),
        weight_grid.sum(),
        rtol=10 * tolerance,
        atol=0,
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_compiled_equals_the_reference(dtype):
    grid, k3, values, weights = sample(2, channels=3, dtype=dtype, reach=0.7)
    tolerance = {"rtol": 1e-12, "atol": 1e-12} if dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-5}
    expected = slice_insert.slice_grid(grid, k3, BOX)
    torch.testing.assert_close(Compiled.slice_grid(grid, k3, BOX), expected, **tolerance)
    for found, wanted in zip(
        Compiled.insert_grid(values, weights, k3, BOX), slice_insert.insert_grid(values, weights, k3, BOX)
    ):
        torch.testing.assert_close(found, wanted, **tolerance)


def test_the_same_bits_for_any_number_of_threads():
    _, k3, values, weights = sample(3, points=5000, dtype=torch.float32)
    grid = sample(3, dtype=torch.float32)[0]
    results = []
    for threads in (1, 2, 2):
        torch.set_num_threads(threads)
        sliced = kernels.slice_grid(grid, k3, BOX)
        results.append([sliced, *kernels.insert_grid(values, weights, k3, BOX)])
    for other in results[1:]:
        for first, second in zip(results[0], other):
            assert torch.equal(first, second)


def test_insertion_accumulates_in_place_and_in_higher_precision(kernel):
    _, k3, values, weights = sample(4, dtype=torch.float32)
    shape = kernels.grid_shape(BOX)
    out = torch.zeros(*shape, 2, dtype=torch.complex128), torch.zeros(shape, dtype=torch.float64)
    for part in range(3):
        kernel.insert_grid(values[part], weights[part], k3[part], BOX, out=out)
    once = kernel.insert_grid(values, weights, k3, BOX)
    torch.testing.assert_close(out[0].to(torch.complex64), once[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(out[1].float(), once[1], rtol=1e-4, atol=1e-5)
    assert kernel.insert_grid(values, None, k3, BOX)[1] is None


def test_opposite_points_are_conjugate(kernel):
    grid, k3, values, _ = sample(5)
    k3[0, 0] = torch.tensor([0.0, 0.2, -0.1])
    assert torch.equal(kernel.slice_grid(grid, -k3, BOX), kernel.slice_grid(grid, k3, BOX).conj())
    there = kernels.symmetrise_grid(kernel.insert_grid(values, None, k3, BOX)[0])
    back = kernels.symmetrise_grid(kernel.insert_grid(values.conj(), None, -k3, BOX)[0])
    torch.testing.assert_close(there, back)


def test_empty_batches(kernel):
    grid, _, _, _ = sample()
    assert kernel.slice_grid(grid, torch.zeros(0, 5, 3).double(), BOX).shape == (0, 5, 2)
    none = torch.zeros(0, 5, 2, dtype=torch.complex128)
    inserted, weights = kernel.insert_grid(none, torch.zeros(0, 5).double(), torch.zeros(0, 5, 3).double(), BOX)
    assert not inserted.any()
    assert not weights.any()


def test_points_that_are_not_finite_show(kernel):
    grid, k3, values, weights = sample(6)
    for bad in (torch.nan, torch.inf):
        k3[1, 3, 1] = bad
        sliced = kernel.slice_grid(grid, k3, BOX)
        assert bool(sliced[1, 3].isnan().all())
        assert int(sliced.isnan().sum()) == 2
        inserted, weight_grid = kernel.insert_grid(values, weights, k3, BOX)
        assert bool(inserted.isnan().any())
        assert bool(weight_grid.isnan().any())
    k3[1, 3, 1] = 1e30
    assert not kernel.slice_grid(grid, k3, BOX)[1, 3].any()


def test_gradients_with_respect_to_grid_values_and_points():
    grid, k3, values, weights = sample(7, channels=1, points=4, oversampling=1)
    leaves = [t.clone().requires_grad_() for t in (grid, k3)]
    assert torch.autograd.gradcheck(lambda g, k: kernels.slice_grid(g, k, BOX, 1), leaves, fast_mode=True)
    leaves = [t.clone().requires_grad_() for t in (values, weights, k3)]
    assert torch.autograd.gradcheck(lambda v, w, k: kernels.insert_grid(v, w, k, BOX, 1), leaves, fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("oversampling", [1, 2])
def test_slope_of_compiled_slicing_is_that_of_the_reference(oversampling, dtype):
    """In the points, also those of the other half of space and beyond the grid, and in the grid at once."""
    draw = torch.Generator().manual_seed(4)
    complex_ = torch.complex64 if dtype is torch.float32 else torch.complex128
    shape = (*slice_insert.grid_shape(8, oversampling), 2)
    grid = torch.randn(shape, dtype=complex_, generator=draw)
    k3 = 1.2 * (torch.rand(3, 50, 3, dtype=dtype, generator=draw) - 0.5)
    weight = torch.randn(3, 50, 2, dtype=complex_, generator=draw)
    found = {}
    for name, kernel in (("compiled", kernels.slice_grid), ("reference", slice_insert.slice_grid)):
        leaves = grid.clone().requires_grad_(), k3.clone().requires_grad_()
        values = kernel(*leaves, 8, oversampling)
        (values * weight).real.square().sum().backward()
        found[name] = [leaf.grad for leaf in leaves]
    tolerance = 1e-4 if dtype is torch.float32 else 1e-11
    for ours, theirs in zip(found["compiled"], found["reference"], strict=True):
        torch.testing.assert_close(ours, theirs, atol=tolerance * float(theirs.abs().max()), rtol=0)


def test_gradient_of_compiled_slicing_is_that_of_the_reference():
    grid, k3, values, _ = sample(8)
    found, expected = grid.clone().requires_grad_(), grid.clone().requires_grad_()
    sliced = kernels.slice_grid(found, k3, BOX)
    (sliced * values).abs().square().sum().backward()
    (slice_insert.slice_grid(expected, k3, BOX) * values).abs().square().sum().backward()
    torch.testing.assert_close(found.grad, expected.grad)
    assert torch.autograd.gradcheck(
        lambda g: kernels.slice_grid(g, k3[:, :3], BOX, 1),
        [sample(8, oversampling=1, channels=1)[0].requires_grad_()],
        fast_mode=True,
    )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), channels=st.integers(1, 4))
def test_a_constant_grid_reads_its_constant(seed, channels):
    _, k3, _, _ = sample(seed, channels=1)
    grid = torch.full((*kernels.grid_shape(BOX), channels), 2.5, dtype=torch.complex128)
    torch.testing.assert_close(kernels.slice_grid(grid, k3, BOX), torch.full((*k3.shape[:-1], channels), 2.5).to(grid))


def test_a_grid_of_another_box_is_refused():
    grid, k3, values, weights = sample()
    for kernel in (slice_insert, Compiled, kernels):
        with pytest.raises(ConfigError, match=r"expected shape \(32, 32, 17\) for a box of 16 px"):
            kernel.slice_grid(grid, k3, 16)
        with pytest.raises(ConfigError, match="box of 16 px"):
            kernel.insert_grid(values, weights, k3, 16, out=(grid, None))
        with pytest.raises(DataError, match="even, positive box size, found 9 px"):
            kernel.insert_grid(values, weights, k3, 9)


def test_slices_of_one_grid_after_the_other_and_their_gradients():
    """Values and gradients of the grids are those of each alone; points that are to be moved have theirs too."""
    grids = torch.stack([sample(seed)[0] for seed in (1, 2, 3)]).requires_grad_()
    points = torch.cat([sample(seed)[1] for seed in (1, 2)]).requires_grad_()
    sizes, weight = [1, 3, 2], sample(4)[2][:1, :, :1]

    def alone(grids, points):
        parts = zip(grids, points.split(sizes), strict=True)
        return torch.cat([slice_insert.slice_grid(grid, own, BOX) for grid, own in parts])

    expected = torch.autograd.grad((alone(grids, points) * weight).real.sum(), (grids, points))
    for wanted in ((grids, points.detach()), (grids, points)):
        found = kernels.slice_grids(*wanted, sizes, BOX)
        torch.testing.assert_close(found, alone(grids, points))
        moving = [tensor for tensor in wanted if tensor.requires_grad]
        gradients = torch.autograd.grad((found * weight).real.sum(), moving)
        for gradient, other in zip(gradients, expected):
            torch.testing.assert_close(gradient, other)
    with torch.no_grad():
        torch.testing.assert_close(kernels.slice_grids(grids, points, sizes, BOX), alone(grids, points))
