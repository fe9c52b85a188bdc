"""Lattices: which pixels, in what order, and that packing loses nothing inside the band."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hypermol.errors import ConfigError, DataError
from hypermol.imaging.fourier import fft2, ifft2, images_to_packed, packed_to_images
from hypermol.imaging.lattice import Lattice

EVEN = st.integers(1, 20).map(lambda half: 2 * half)


@settings(max_examples=25, deadline=None)
@given(box=EVEN)
def test_each_pair_of_the_circle_appears_once(box):
    lattice = Lattice.disc(box)
    axis = np.arange(box) - box // 2
    inside = np.round(np.hypot(axis[:, None], axis[None, :])) <= box // 2 - 1
    visits = np.zeros(box * box, int)
    np.add.at(visits, lattice.pixels.numpy(), 1)
    np.add.at(visits, lattice.conjugate_pixels.numpy(), 1)
    expected = inside.astype(int)
    expected[box // 2, box // 2] = 2  # the origin is its own conjugate
    assert np.array_equal(visits.reshape(box, box), expected)
    assert float(lattice.weight.double().sum()) * 2 == inside.sum()


def test_points_are_sorted_so_that_a_band_limit_is_a_prefix():
    lattice = Lattice.disc(32, dtype=torch.float64)
    radius = torch.linalg.vector_norm(lattice.k, dim=-1) * 32
    assert bool((radius.diff() > -1e-9).all())
    assert torch.equal(lattice.shell, torch.round(radius).long())
    for limit in (0, 1, 7, 15, 99):
        part = lattice.limit(limit)
        fresh = Lattice.disc(32, min(limit, 15), dtype=torch.float64)
        assert torch.equal(part.k, fresh.k)
        assert part.size == lattice.count(limit)
        assert part.band_limit == min(limit, 15)


@settings(max_examples=15, deadline=None)
@given(box=EVEN, seed=st.integers(0, 99))
def test_packing_round_trip(box, seed):
    generator = torch.Generator().manual_seed(seed)
    lattice = Lattice.disc(box, dtype=torch.float64)
    images = torch.randn(2, box, box, generator=generator, dtype=torch.float64)
    packed = lattice.pack(fft2(images))
    torch.testing.assert_close(images_to_packed(images, lattice), packed)
    real = ifft2(lattice.unpack(packed))
    torch.testing.assert_close(packed_to_images(packed, lattice), real.real)
    assert float(real.imag.abs().max()) < 1e-12
    torch.testing.assert_close(images_to_packed(real.real, lattice), packed)


def test_parseval_with_the_weights_of_the_lattice():
    lattice = Lattice.disc(24, dtype=torch.float64)
    packed = torch.randn(lattice.size, dtype=torch.complex128)
    packed.imag[0] = 0
    image = packed_to_images(packed, lattice)
    power = 2 * (lattice.weight * packed.abs().square()).sum() / 24**2
    torch.testing.assert_close(image.square().sum(), power)


def test_empty_batches_and_types():
    lattice = Lattice.disc(16)
    packed = images_to_packed(torch.zeros(0, 16, 16), lattice)
    assert packed.shape == (0, lattice.size)
    assert packed.dtype == torch.complex64
    assert packed_to_images(packed, lattice).shape == (0, 16, 16)
    double = lattice.to(dtype=torch.float64)
    assert double.k.dtype == double.weight.dtype == torch.float64
    assert images_to_packed(torch.zeros(1, 16, 16).double(), double).dtype == torch.complex128


def test_impossible_lattices_are_refused_in_words():
    with pytest.raises(DataError, match=r"even.*found 33 px.*new_box 32"):
        Lattice.disc(33)
    with pytest.raises(ConfigError, match="from 0 to 15, found 16"):
        Lattice.disc(32, 16)
    with pytest.raises(ConfigError, match="found -1"):
        Lattice.disc(32).limit(-1)
    with pytest.raises(ConfigError, match="expected images of 32 px, found 16"):
        images_to_packed(torch.zeros(16, 16), Lattice.disc(32))
    with pytest.raises(ConfigError, match="expected transforms of 32 px"):
        Lattice.disc(32).pack(torch.zeros(16, 16, dtype=torch.complex64))
    polar = Lattice(32, torch.tensor([[0.1234, 0.0]]), torch.ones(1), torch.ones(1, dtype=torch.int64))
    with pytest.raises(ConfigError, match="interpolate instead"):
        polar.pack(torch.zeros(32, 32, dtype=torch.complex64))
