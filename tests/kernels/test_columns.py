"""Columns of the covariance: the compiled loop, the plain reference, and dense least squares pair by pair."""

from typing import Any

import numpy as np
import pytest
import torch
from interpreter import interpreted

import hypermol.kernels as kernels
from hypermol.errors import ConfigError
from hypermol.imaging import Lattice, random_rotations
from hypermol.kernels import columns_reference, grid_shape, insert_columns, symmetrise_moments
from hypermol.kernels.columns import RECORD

BOX, IMAGES, WIDTH = 8, 9, 1.3
PLACES = torch.tensor([[2.0, 0.0, -1.0], [-1.0, 1.7, 0.4], [0.0, 0.0, 1.5]], dtype=torch.float64)


def images(dtype: torch.dtype = torch.float64, band: int | None = None) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    k = Lattice.disc(BOX, band, dtype=dtype).k
    shape = (IMAGES, len(k))
    return {
        "numerator": torch.complex(*torch.randn(2, *shape, generator=generator, dtype=dtype)),
        "weight": torch.rand(shape, generator=generator, dtype=dtype),
        "rotation": random_rotations(IMAGES, generator=generator).to(dtype),
        "half": torch.arange(IMAGES) % 2,
    }


@pytest.fixture(params=["compiled", "triton"])
def kernel(request: pytest.FixtureRequest) -> Any:
    return kernels if request.param == "compiled" else interpreted("columns_triton")


def sums_of(
    dtype: torch.dtype = torch.float64, oversampling: int = 1, band: int | None = None, kernel: Any = kernels
) -> torch.Tensor:
    out = torch.zeros(2, len(PLACES), *grid_shape(BOX, oversampling), RECORD, dtype=dtype)
    k = Lattice.disc(BOX, band, dtype=dtype).k
    kernel.insert_columns(*images(dtype, band).values(), PLACES.to(dtype), WIDTH, k, BOX, out, oversampling)
    return out


@pytest.mark.parametrize(("oversampling", "band"), [(1, None), (2, None), (2, 2)])
def test_columns_equal_the_reference(kernel: Any, oversampling: int, band: int | None) -> None:
    found = sums_of(oversampling=oversampling, band=band, kernel=kernel)
    expected = torch.zeros_like(found)
    data = *images(band=band).values(), PLACES, WIDTH, Lattice.disc(BOX, band, dtype=torch.float64).k, BOX
    columns_reference.insert_columns(*data, expected, oversampling)
    if oversampling == 1:  # the loop leaves out points at the rim whose corners are not all on the grid
        expected, found = expected[:, :, 1:-1, 1:-1, :-2], found[:, :, 1:-1, 1:-1, :-2]
    assert float(expected.abs().max()) > 0.1
    torch.testing.assert_close(found, expected)


def test_a_column_is_the_least_squares_solution_over_all_pairs_of_pixels() -> None:
    """All pixels of the whole plane, all pairs, one unknown per node: nothing of packing, halves or mirroring."""
    sums, given = sums_of()[0], images()
    k = np.rint((Lattice.disc(BOX, dtype=torch.float64).k * BOX).numpy())
    top, bottom = np.zeros((len(PLACES), BOX, BOX, BOX), complex), np.zeros((len(PLACES), BOX, BOX, BOX))
    for i in range(0, IMAGES, 2):
        number, weight = given["numerator"][i].numpy(), given["weight"][i].numpy()
        pixels = np.concatenate([k[1:], -k[1:], k[:1], k[:1]])  # the origin once on each side, as the grid has it
        number = np.concatenate([number[1:], number[1:].conj(), number[:1], number[:1].conj()])
        weight = np.concatenate([weight[1:], weight[1:], weight[:1], weight[:1]])
        points = pixels @ given["rotation"][i].numpy()[:2]
        nodes = [np.maximum(0, 1 - np.abs(points[:, axis, None] - np.arange(-4, 4))) for axis in range(3)]
        for m, place in enumerate(PLACES.numpy()):
            cone = np.maximum(0, 1 - np.linalg.norm(points - place, axis=1) / WIDTH)
            product = (number[:, None] * number.conj() - np.diag(weight)) @ cone
            spread = np.einsum("pz,py,px->pzyx", nodes[2], nodes[1], nodes[0])
            top[m] += np.einsum("pzyx,p->zyx", spread, product)
            bottom[m] += np.einsum("pzyx,p->zyx", spread, weight * (weight @ cone))
    for m in range(len(PLACES)):
        symmetrise_moments(sums[m], 2)
        column = torch.view_as_complex(sums[m][..., :2].contiguous())
        column = (column - 1j * torch.view_as_complex(sums[m][..., 2:4].contiguous())).numpy()
        inside = slice(2, -1)
        np.testing.assert_allclose(column[inside, inside, :3], top[m][inside, inside, 4:7], atol=1e-5)
        np.testing.assert_allclose(sums[m][inside, inside, :3, 4], bottom[m][inside, inside, 4:7], atol=1e-5)


def test_noise_alone_has_no_covariance_not_even_on_the_diagonal() -> None:
    generator, count = torch.Generator().manual_seed(1), 4000
    k = Lattice.disc(BOX, dtype=torch.float64).k
    weight = torch.rand(count, len(k), generator=generator, dtype=torch.float64)
    noise = torch.complex(*torch.randn(2, count, len(k), generator=generator, dtype=torch.float64)) / 2**0.5
    rotation = random_rotations(count, generator=generator).double()
    out = torch.zeros(2, 1, *grid_shape(BOX, 1), RECORD, dtype=torch.float64)
    data = noise * weight.sqrt(), weight, rotation, torch.zeros(count, dtype=torch.long)
    insert_columns(*data, PLACES[:1], WIDTH, k, BOX, out)
    node, uncorrected = out[0, 0, 4 - 1, 4, 2], float(weight[:, 5].mean())
    assert abs(float(node[0] / node[4])) < 0.1 < 0.3 * uncorrected / float(weight.square().mean())
    assert (out[1] == 0).all()


def test_the_same_bits_for_any_number_of_threads() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = sums_of(torch.float32)
        torch.set_num_threads(4)
        assert torch.equal(sums_of(torch.float32), one)
    finally:
        torch.set_num_threads(before)


def test_places_at_the_origin_and_sums_of_another_shape_are_refused() -> None:
    given, k = images(), Lattice.disc(BOX, dtype=torch.float64).k
    out = torch.zeros(2, 1, *grid_shape(BOX, 1), RECORD, dtype=torch.float64)
    with pytest.raises(ConfigError, match="farther than"):
        insert_columns(*given.values(), PLACES[:1] * 0.1, WIDTH, k, BOX, out)
    with pytest.raises(ConfigError, match="expected"):
        insert_columns(*given.values(), PLACES[:1], WIDTH, k, BOX, out[..., :4])
