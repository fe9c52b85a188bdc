"""The covariance of volumes: columns against the true one, their choice, the reduced covariance against dense fits."""

import numpy as np
import pytest
import torch

from hypermol.imaging import Lattice, fft3, fourier_crop, fourier_pad, random_rotations
from hypermol.kernels import slice_grid, volumes_to_grid
from hypermol.kernels.moments_reference import slice_points
from hypermol.maps import soft_sphere
from hypermol.reconstruction import Insertion, LinearSums
from hypermol.reconstruction.column_choice import chosen_columns, variance_insertion
from hypermol.reconstruction.columns import ColumnInsertion, ColumnSums, regularised_columns, residual
from hypermol.reconstruction.reduced import ReducedCovariance, pair_totals, subspace

BOX, COUNT = 16, 3000
PLACES = torch.tensor([[2.0, 0.0, 1.0], [-1.0, 2.0, 1.0], [0.0, 1.0, -2.0]], dtype=torch.float64)


def volumes() -> torch.Tensor:
    """A mean and two components: smooth, inside the middle of the box."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(3, BOX, BOX, BOX, generator=generator)
    radius = torch.fft.fftfreq(BOX)[:, None, None] ** 2 + torch.fft.fftfreq(BOX)[:, None] ** 2
    radius = radius + torch.fft.rfftfreq(BOX) ** 2
    smooth = torch.fft.irfftn(torch.fft.rfftn(noise, dim=(1, 2, 3)) * torch.exp(-60 * radius), dim=(1, 2, 3))
    inside = smooth * soft_sphere(BOX, 4, 2)
    return (
        inside / inside.flatten(1).norm(dim=1)[:, None, None, None] * torch.tensor([3.0, 1.0, 0.7])[:, None, None, None]
    )


@pytest.fixture(scope="module")
def images() -> Insertion:
    """μ + z_1 U_1 + z_2 U_2 seen with a CTF of both signs and noise that differs between points."""
    generator = torch.Generator().manual_seed(1)
    lattice, rotation = Lattice.disc(BOX), random_rotations(COUNT, generator=generator).float()
    slices = slice_grid(volumes_to_grid(volumes()), slice_points(rotation, lattice.k), BOX)
    z = torch.cat([torch.ones(COUNT, 1), torch.randn(COUNT, 2, generator=generator)], 1)
    ctf = torch.cos(torch.rand(COUNT, 1, generator=generator) * 30 * lattice.k.norm(dim=1) ** 2 * 4 + 0.3)
    deviation = (2.0 - 2 * lattice.k.norm(dim=1)) * 0.4
    noise = torch.complex(*torch.randn(2, *ctf.shape, generator=generator)) * deviation / 2**0.5
    seen = ctf * (slices * z[:, None]).sum(-1) + noise
    scaled = ctf * lattice.weight / deviation**2
    half = torch.arange(COUNT) % 2
    return Insertion(seen * scaled, ctf * scaled, rotation, half, lattice, 1)


def residuals(images: Insertion) -> Insertion:
    return residual(images, [volumes_to_grid(volumes()[:1])] * 2, BOX)


def test_columns_are_the_true_covariance_diagonal_and_all(images: Insertion) -> None:
    sums = ColumnInsertion(residuals(images), PLACES, 1.0, BOX).add_to(None)
    found = regularised_columns(*ColumnSums.completed(sums, BOX), soft_sphere(BOX, 6, 1))
    transform = fft3(volumes()[1:])
    for m, place in enumerate(PLACES.long()):
        x, y, z = (place + BOX // 2).tolist()
        column = (transform * transform[:, z, y, x].conj()[:, None, None, None]).sum(0)
        mine = fft3(found.whole[2 * m]) - 1j * fft3(found.whole[2 * m + 1])
        inside = (slice(3, 14),) * 3
        overlap = (mine[inside] * column[inside].conj()).sum().real
        likeness = overlap / (mine[inside].abs().square().sum() * column[inside].abs().square().sum()).sqrt()
        assert likeness > 0.9
        assert 0.6 < (overlap / column[inside].abs().square().sum()) < 1.2
        assert 0.5 < mine[z, y, x].real / column[z, y, x].real < 1.5
    assert (found.fsc[:, 1:4] > 0.5).all()


def test_columns_are_chosen_where_variance_stands_out_and_apart(images: Insertion) -> None:
    sums = variance_insertion(residuals(images)).add_to(None)
    first, second = LinearSums.completed(sums, BOX, 1, 1)
    places = chosen_columns(first.records + second.records, 8, 2.0, 1.5, 6.0)
    assert len(places) == 8
    radius = places.norm(dim=1)
    assert (radius > 1.5).all()
    assert (radius <= 6).all()
    both = torch.cat([places, -places])
    assert torch.cdist(both, both).add(torch.eye(16, dtype=both.dtype) * 9).min() >= 2.0
    variance = fft3(volumes()[1:]).abs().square().sum(0)
    at = (places.long() + BOX // 2).unbind(1)
    assert variance[at[2], at[1], at[0]].mean() > 5 * variance[2:15, 2:15, 2:15].mean()


def test_reduced_covariance_is_the_dense_least_squares_solution() -> None:
    """Every pair of pixels of every image is one equation; the noise's share is subtracted from each square."""
    generator = torch.Generator().manual_seed(2)
    slices = torch.randn(12, 9, 4, generator=generator, dtype=torch.float64)
    images = torch.randn(12, 9, generator=generator, dtype=torch.float64) * 2
    gram, projection = torch.einsum("npa,npb->nab", slices, slices), torch.einsum("npa,np->na", slices, images)
    found = ReducedCovariance.of(pair_totals(gram, projection), 12)
    left = torch.einsum("npa,nqb->npqab", slices, slices).reshape(-1, 16).numpy()
    rest = images - slices[..., 0]
    right = (torch.einsum("np,nq->npq", rest, rest) - torch.eye(9, dtype=rest.dtype)).flatten().numpy()
    expected = np.linalg.lstsq(left, right, rcond=None)[0].reshape(4, 4)
    np.testing.assert_allclose(found.covariance.numpy(), (expected + expected.T) / 2, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.information.numpy(), gram.mean(0).numpy())


def test_contrast_is_told_from_components_that_contain_the_mean() -> None:
    generator, count = torch.Generator().manual_seed(3), 60_000
    slices = torch.randn(count, 12, 4, generator=generator, dtype=torch.float64)
    true = torch.tensor([[0.3, 1.5, 0.0, 0.5], [-0.2, 0.0, 0.9, 0.0]], dtype=torch.float64)  # of (mean, basis)
    z = torch.randn(count, 2, generator=generator, dtype=torch.float64)
    contrast = 1 + 0.3 * torch.randn(count, generator=generator, dtype=torch.float64)
    weights = z @ true
    weights[:, 0] += 1
    images = (slices * (contrast[:, None] * weights)[:, None]).sum(-1)
    images += torch.randn(count, 12, generator=generator, dtype=torch.float64)
    gram, projection = torch.einsum("npa,npb->nab", slices, slices), torch.einsum("npa,np->na", slices, images)
    reduced = ReducedCovariance.of(pair_totals(gram, projection), count)
    rows, variance = reduced.components(2, contrast=True)
    assert abs(variance - 0.09) < 0.015
    torch.testing.assert_close(rows.T @ rows, true.T @ true, atol=0.12, rtol=0)
    ignored, none = reduced.components(3, contrast=False)
    assert none == 0.0
    assert (ignored.T @ ignored)[0, 0] > (true.T @ true)[0, 0] + 0.06


def test_what_is_not_positive_is_no_component() -> None:
    unit = torch.eye(3, dtype=torch.float64)
    rows, _ = ReducedCovariance(torch.diag(torch.tensor([0.0, 2.0, -1.0], dtype=torch.float64)), unit).components(
        2, True
    )
    torch.testing.assert_close(rows.abs(), torch.tensor([[0, 2**0.5, 0], [0, 0, 0]], dtype=torch.float64))


def test_subspace_holds_the_columns_and_is_orthonormal() -> None:
    mean, first, second = volumes()
    columns = torch.stack([first, second, first + second, first - 2 * second])
    found = subspace(mean, columns, 3)
    assert len(found) == 3  # the mean, and two that span four columns
    basis = found[1:].flatten(1)
    torch.testing.assert_close(basis @ basis.T, torch.eye(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(basis @ mean.flatten(), torch.zeros(2), atol=1e-5, rtol=0)
    whole = torch.cat([basis, mean.flatten()[None] / mean.norm()])
    torch.testing.assert_close(columns.flatten(1) @ whole.T @ whole, columns.flatten(1), atol=1e-5, rtol=0)


def test_padding_is_undone_by_cropping_and_keeps_smooth_maps() -> None:
    map_ = volumes()[:2]
    large = fourier_pad(map_, 24, 3)
    torch.testing.assert_close(fourier_crop(large, BOX, 3), map_, atol=1e-6, rtol=0)
    torch.testing.assert_close(large.mean((1, 2, 3)), map_.mean((1, 2, 3)))
    torch.testing.assert_close(large[:, ::3, ::3, ::3], map_[:, ::2, ::2, ::2], atol=1e-4, rtol=0)


def test_columns_on_a_smaller_grid_are_those_of_the_large_one(images: Insertion) -> None:
    limited = residuals(images)
    lattice = limited.lattice.limit(4)
    cut = limited.numerator[:, : lattice.size], limited.weight[:, : lattice.size]
    low = Insertion(*cut, limited.rotation, limited.half, lattice, 1)
    large, small = (ColumnInsertion(low, PLACES, 1.5, box).add_to(None) for box in (BOX, 12))
    torch.testing.assert_close(large[:, :, 3:14, 3:14, :6], small[:, :, 1:12, 1:12, :6], rtol=1e-4, atol=1e-2)
