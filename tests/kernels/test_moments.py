"""Statistics of linear families: the compiled loops against the plain reference, and that against its definition."""

from typing import Any

import pytest
import torch
from interpreter import interpreted

import hypermol.kernels as kernels
from hypermol.errors import ConfigError
from hypermol.imaging import Lattice, random_rotations
from hypermol.kernels import (
    grid_shape,
    insert_grid,
    insert_moments,
    moments_reference,
    record_size,
    slice_grid,
    slice_moments,
    solve_moments,
    symmetrise_grid,
    symmetrise_moments,
    volumes_to_grid,
)
from hypermol.kernels.checks import check_images

BOX, CHANNELS, IMAGES = 12, 3, 7
MOMENTS = record_size(CHANNELS) - 2 * CHANNELS


def images(dtype: torch.dtype = torch.float64) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    k = Lattice.disc(BOX, dtype=dtype).k
    shape = (IMAGES, len(k))
    return {
        "numerator": torch.complex(*torch.randn(2, *shape, generator=generator, dtype=dtype)),
        "weight": torch.rand(shape, generator=generator, dtype=dtype),
        "rotation": random_rotations(IMAGES, generator=generator).to(dtype),
        "k": k,
    }


def some_grid(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    volumes = torch.randn(CHANNELS, BOX, BOX, BOX, generator=torch.Generator().manual_seed(1), dtype=dtype)
    return volumes_to_grid(volumes)


def conformations() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    first = torch.randn(IMAGES, CHANNELS, generator=generator, dtype=torch.float64)
    return first, torch.rand(IMAGES, MOMENTS, generator=generator, dtype=torch.float64)


@pytest.fixture(params=["compiled", "triton"])
def kernel(request: pytest.FixtureRequest) -> Any:
    return kernels if request.param == "compiled" else interpreted("moments_triton")


def sums_of(dtype: torch.dtype = torch.float64, kernel: Any = kernels) -> torch.Tensor:
    given, (first, second), half = images(), conformations(), torch.arange(IMAGES) % 2
    out = torch.zeros(2, *grid_shape(BOX), record_size(CHANNELS), dtype=dtype)
    data = given["numerator"], given["weight"], given["rotation"], first, second, half
    kernel.insert_moments(*data, given["k"], BOX, out)
    return out


def test_gram_and_projection_are_the_parabola_of_the_likelihood() -> None:
    given, grid = images(), some_grid()
    gram, projection = slice_moments(grid, **given, box=BOX)
    slices = slice_grid(grid, moments_reference.slice_points(given["rotation"], given["k"]), BOX)
    z = torch.randn(IMAGES, CHANNELS, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    predicted = (slices * z[:, None]).sum(-1)
    expected = 2 * (given["weight"] * predicted.abs() ** 2 - 2 * (predicted.conj() * given["numerator"]).real).sum(-1)
    found = torch.einsum("na,nab,nb->n", z, gram, z) - 2 * (z * projection).sum(-1)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_slices_equal_the_reference(kernel: Any, dtype: torch.dtype, tolerance: float) -> None:
    given, grid = images(dtype), some_grid(dtype)
    for found, expected in zip(
        kernel.slice_moments(grid, **given, box=BOX),
        moments_reference.slice_moments(grid, **given, box=BOX),
        strict=True,
    ):
        assert found.dtype == torch.float64
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance * float(expected.abs().max()))


def test_insertion_equals_the_reference_in_each_half(kernel: Any) -> None:
    given, (first, second), half = images(), conformations(), torch.arange(IMAGES) % 2
    found = sums_of(kernel=kernel)
    for own in range(2):
        some, expected = half == own, torch.zeros_like(found[0])
        data = given["numerator"][some], given["weight"][some], given["rotation"][some], first[some], second[some]
        moments_reference.insert_moments(*data, given["k"], BOX, expected)
        torch.testing.assert_close(found[own], expected)


def test_insertion_gives_the_same_bits_for_any_number_of_threads() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = sums_of(torch.float32)
        torch.set_num_threads(4)
        assert torch.equal(sums_of(torch.float32), one)
    finally:
        torch.set_num_threads(before)


def test_sums_in_single_precision_lose_nothing_that_matters() -> None:
    exact, rounded = sums_of(), sums_of(torch.float32)
    torch.testing.assert_close(rounded.double(), exact, rtol=1e-5, atol=1e-6 * float(exact.abs().max()))


def test_compiled_solution_equals_the_reference_and_solves_the_equations() -> None:
    sums = sums_of()[0]
    symmetrise_moments(sums, CHANNELS)
    sums[..., [6, 8, 11]] += 3.0  # diagonal: well-posed everywhere
    prior = torch.rand(100, CHANNELS, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    found = solve_moments(sums, prior)
    z, y, x = (torch.arange(n) for n in sums.shape[:3])
    squared = ((z - BOX) ** 2)[:, None, None] + ((y - BOX) ** 2)[:, None] + x**2
    torch.testing.assert_close(found, moments_reference.solve_moments(sums, prior, squared))
    matrix = torch.zeros(CHANNELS, CHANNELS, dtype=torch.float64)
    node = (BOX + 2, BOX - 3, 4)
    rows, columns = torch.tril_indices(CHANNELS, CHANNELS)
    matrix[rows, columns] = matrix[columns, rows] = sums[node][2 * CHANNELS :]
    left = (matrix + torch.diag(prior[4 + 9 + 16])).to(torch.complex128) @ found[node]
    torch.testing.assert_close(left, torch.view_as_complex(sums[node][: 2 * CHANNELS].view(CHANNELS, 2)))
    assert (found[squared >= 100] == 0).all()


def test_one_channel_is_plain_back_projection() -> None:
    given, half = images(), torch.zeros(IMAGES, dtype=torch.long)
    ones, out = torch.ones(IMAGES, 1, dtype=torch.float64), torch.zeros(1, *grid_shape(BOX), 3, dtype=torch.float64)
    data = given["numerator"], given["weight"], given["rotation"], ones, ones, half
    insert_moments(*data, given["k"], BOX, out)
    symmetrise_moments(out[0], 1)
    found = solve_moments(out[0], torch.full((3 * BOX**2, 1), 0.5, dtype=torch.float64))
    points = moments_reference.slice_points(given["rotation"], given["k"])
    grid, weight = insert_grid(given["numerator"][..., None], given["weight"], points, BOX)
    assert weight is not None
    expected = symmetrise_grid(grid) / (symmetrise_grid(weight[..., None]) + 0.5)
    torch.testing.assert_close(found, expected)


def test_a_pose_that_is_not_a_number_shows(kernel: Any) -> None:
    given = images()
    given["rotation"][2] = torch.nan
    gram, _ = kernel.slice_moments(some_grid(), **given, box=BOX)
    assert gram[2].isnan().any()
    assert gram[[0, 1, 3]].isfinite().all()


def test_sums_of_another_shape_are_refused() -> None:
    given = images()
    first, second = conformations()
    half, out = torch.zeros(IMAGES, dtype=torch.long), torch.zeros(1, *grid_shape(BOX), 5)
    with pytest.raises(ConfigError, match="expected"):
        insert_moments(
            given["numerator"], given["weight"], given["rotation"], first, second, half, given["k"], BOX, out
        )


def test_images_and_sums_that_do_not_fit_are_refused_before_memory_is_touched() -> None:
    given, (first, second) = images(), conformations()
    half = torch.zeros(IMAGES, dtype=torch.long)
    with pytest.raises(ConfigError, match="numerators and weights of shape"):
        check_images(given["numerator"], given["weight"][:, 1:], given["rotation"], given["k"])
    strided = torch.zeros(1, *grid_shape(BOX), 2 * record_size(CHANNELS))[..., ::2]
    data = given["numerator"], given["weight"], given["rotation"], first, second, half, given["k"], BOX
    with pytest.raises(ConfigError, match="must be contiguous"):
        insert_moments(*data, strided)


def test_an_image_of_no_half_inserts_nothing(kernel: Any) -> None:
    given, (first, second) = images(), conformations()
    half = torch.tensor([0, -1, 1, 2, 0, 1, 0])
    sums = torch.zeros(4, *grid_shape(BOX), record_size(CHANNELS), dtype=torch.float64)
    data = given["numerator"], given["weight"], given["rotation"], first, second
    kernel.insert_moments(*data, half, given["k"], BOX, sums[1:3])
    some = (half == 0) | (half == 1)
    expected = torch.zeros_like(sums[1:3])
    insert_moments(*(part[some] for part in data), half[some], given["k"], BOX, expected)
    torch.testing.assert_close(sums[1:3], expected)
    assert not sums[[0, 3]].any()
