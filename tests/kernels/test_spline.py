"""The cubic B-spline: scipy's, the compiled loop against the plain reference, and places where there is none."""

import numpy as np
import pytest
import scipy.ndimage
import torch

from hypermol.kernels import spline_reference, spline_values

SIZE = 12


def some(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    coefficients = torch.randn(SIZE, SIZE, SIZE, dtype=dtype, generator=generator)
    return coefficients, 1 + (SIZE - 3) * torch.rand(500, 3, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("values_of", [spline_values, spline_reference.spline_values])
def test_values_are_those_of_scipy(values_of) -> None:
    coefficients, places = some(torch.complex128)
    found, _ = values_of(coefficients, places)
    at = places.flip(1).T.numpy()
    parts = [
        scipy.ndimage.map_coordinates(part.numpy(), at, order=3, prefilter=False)
        for part in (coefficients.real, coefficients.imag)
    ]
    np.testing.assert_allclose(found.numpy(), parts[0] + 1j * parts[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("values_of", [spline_values, spline_reference.spline_values])
def test_slopes_by_differences(values_of) -> None:
    coefficients, places = some(torch.complex128)
    _, slope = values_of(coefficients, places)
    for axis in range(3):
        step = torch.zeros(3, dtype=torch.float64)
        step[axis] = 1e-5
        difference = (values_of(coefficients, places + step)[0] - values_of(coefficients, places - step)[0]) / 2e-5
        torch.testing.assert_close(slope[:, axis], difference, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.complex128, 1e-13), (torch.complex64, 1e-5)])
def test_compiled_equals_reference(dtype: torch.dtype, tolerance: float) -> None:
    coefficients, places = some(dtype)
    places = places.to(coefficients.real.dtype)
    expected = spline_reference.spline_values(coefficients, places)
    for found, wanted in zip(spline_values(coefficients, places), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance)


@pytest.mark.parametrize("values_of", [spline_values, spline_reference.spline_values])
@pytest.mark.parametrize("place", [(0.9, 5, 5), (5, SIZE - 1.9, 5), (5, 5, np.nan), (5, np.inf, 5), (-1e9, 5, 5)])
def test_places_without_four_nodes_are_nan(values_of, place: tuple[float, ...]) -> None:
    coefficients, places = some(torch.complex128)
    places[7] = torch.tensor(place)
    value, slope = values_of(coefficients, places)
    assert torch.equal(value.isnan(), torch.arange(500) == 7)
    assert torch.equal(slope.isnan().all(1), torch.arange(500) == 7)
