"""Statistics of separate maps: the compiled loops against the plain reference, and both against those of moments."""

from typing import Any

import pytest
import torch
from interpreter import interpreted
from test_moments import BOX, CHANNELS, IMAGES, images, some_grid

import hypermol.kernels as kernels
from hypermol.errors import ConfigError
from hypermol.kernels import (
    grid_shape,
    insert_moments,
    insert_separate,
    record_size,
    separate_reference,
    slice_moments,
    slice_separate,
    symmetrise_moments,
    symmetrise_separate,
)

HALF = torch.arange(IMAGES) % 2


def shares() -> tuple[torch.Tensor, torch.Tensor]:
    """First and second moments of each image in each map; some images have no part in some maps."""
    generator = torch.Generator().manual_seed(5)
    first, second = torch.rand(2, IMAGES, CHANNELS, generator=generator, dtype=torch.float64)
    absent = torch.rand(IMAGES, CHANNELS, generator=generator) < 0.3
    return first.masked_fill(absent, 0), second.masked_fill(absent, 0)


@pytest.fixture(params=["compiled", "triton"])
def kernel(request: pytest.FixtureRequest) -> Any:
    return kernels if request.param == "compiled" else interpreted("separate_triton")


def sums_of(dtype: torch.dtype = torch.float64, kernel: Any = kernels) -> torch.Tensor:
    given = images()
    out = torch.zeros(2, *grid_shape(BOX), 3 * CHANNELS, dtype=dtype)
    data = given["numerator"], given["weight"], given["rotation"], *shares(), HALF, given["k"], BOX
    kernel.insert_separate(*data, out)
    return out


def test_slices_are_the_diagonal_of_the_gram_matrix() -> None:
    power, overlap = slice_separate(some_grid(), **images(), box=BOX)
    gram, projection = slice_moments(some_grid(), **images(), box=BOX)
    torch.testing.assert_close(power, gram.diagonal(dim1=-2, dim2=-1))
    torch.testing.assert_close(overlap, projection)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_slices_equal_the_reference(kernel: Any, dtype: torch.dtype, tolerance: float) -> None:
    given, grid = images(dtype), some_grid(dtype)
    expected = separate_reference.slice_separate(grid, **given, box=BOX)
    for found, wanted in zip(kernel.slice_separate(grid, **given, box=BOX), expected, strict=True):
        assert found.dtype == torch.float64
        torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance * float(wanted.abs().max()))


def test_insertion_equals_the_reference_in_each_half(kernel: Any) -> None:
    given, found = images(), sums_of(kernel=kernel)
    for half in range(2):
        (first, second), some = shares(), half == HALF
        expected = torch.zeros(*grid_shape(BOX), 3 * CHANNELS, dtype=torch.float64)
        data = given["numerator"][some], given["weight"][some], given["rotation"][some], first[some], second[some]
        separate_reference.insert_separate(*data, given["k"], BOX, expected)
        torch.testing.assert_close(found[half], expected)


def test_sums_are_those_of_moments_of_uncorrelated_coordinates() -> None:
    """Symmetrised too: numerators are the same, weights the diagonal of the second moments."""
    given, (first, second) = images(), shares()
    moments = torch.zeros(2, *grid_shape(BOX), record_size(CHANNELS), dtype=torch.float64)
    triangle = torch.diag_embed(second)[:, *torch.tril_indices(CHANNELS, CHANNELS)]
    data = given["numerator"], given["weight"], given["rotation"], first, triangle, HALF
    insert_moments(*data, given["k"], BOX, moments)
    found = sums_of()
    for half in range(2):
        symmetrise_moments(moments[half], CHANNELS)
        symmetrise_separate(found[half])
    separate = found.unflatten(-1, (CHANNELS, 3))
    diagonal = [2 * CHANNELS + c * (c + 3) // 2 for c in range(CHANNELS)]
    torch.testing.assert_close(separate[..., :2].flatten(-2), moments[..., : 2 * CHANNELS])
    torch.testing.assert_close(separate[..., 2], moments[..., diagonal])


def test_the_same_bits_for_any_number_of_threads() -> None:
    before = torch.get_num_threads()
    found = []
    for threads in (1, 2, 4):
        torch.set_num_threads(threads)
        found.append(sums_of(torch.float32))
    torch.set_num_threads(before)
    assert all(torch.equal(found[0], other) for other in found[1:])


def test_sums_of_another_shape_are_refused() -> None:
    given = images()
    out = torch.zeros(2, *grid_shape(BOX), 3 * CHANNELS + 1, dtype=torch.float64)
    with pytest.raises(ConfigError, match="sums of 3 maps"):
        insert_separate(given["numerator"], given["weight"], given["rotation"], *shares(), HALF, given["k"], BOX, out)
