"""Noise spectra and the Gaussian likelihood against what they estimate."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from hypermol.errors import ConfigError
from hypermol.imaging.fourier import images_to_packed, packed_to_images
from hypermol.imaging.lattice import Lattice
from hypermol.imaging.likelihood import gaussian_nll
from hypermol.imaging.noise import corner_spectrum, per_pixel, radial_mean


def coloured(count, spectrum, box, seed=0):
    """Images of Gaussian noise with E|N(k)|² = ``spectrum`` of its shell."""
    lattice = Lattice.disc(box, dtype=torch.float64)
    white = torch.randn(count, box, box, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    packed = images_to_packed(white, lattice) / box
    return packed_to_images(packed * per_pixel(spectrum, lattice).sqrt(), lattice)


def test_radial_mean_by_definition():
    lattice = Lattice.disc(16, dtype=torch.float64)
    power = torch.rand(2, lattice.size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = radial_mean(power, lattice)
    expected = [power[:, lattice.shell == s].mean(-1) for s in range(8)]
    torch.testing.assert_close(found, torch.stack(expected, dim=-1))
    torch.testing.assert_close(radial_mean(per_pixel(found, lattice), lattice), found)
    assert radial_mean(power[:0], lattice).shape == (0, 8)


@pytest.mark.parametrize("radius", [10.0, 14.0])
def test_white_noise_is_its_pixel_variance_times_the_pixels(radius):
    images = 3 * torch.randn(600, 32, 32, generator=torch.Generator().manual_seed(2)) + 7
    spectrum = corner_spectrum(images, radius)
    assert spectrum.shape == (16,)
    np.testing.assert_allclose(spectrum.numpy(), 9 * 32**2, rtol=0.08)
    np.testing.assert_allclose(spectrum[3:].numpy(), 9 * 32**2, rtol=0.04)


def test_coloured_noise_is_found_around_a_bright_particle():
    shell = torch.arange(24, dtype=torch.float64)
    truth = 50 * (1 + 4 * torch.exp(-shell / 8))
    images = coloured(500, truth, 48, seed=3)
    axis = torch.arange(48) - 24
    particle = 100.0 * ((axis[:, None] ** 2 + axis**2) < 15**2)
    found = corner_spectrum(images + particle, 17.0)
    # shell 23 borders on the empty corners of this test's noise
    np.testing.assert_allclose(found[2:22].numpy(), truth[2:22].numpy(), rtol=0.06)


def test_noise_needs_room_and_a_long_enough_spectrum():
    with pytest.raises(ConfigError, match=r"0 px outside a radius of 99 px.*smaller radius"):
        corner_spectrum(torch.zeros(3, 16, 16), 99.0)
    with pytest.raises(ConfigError, match="0 images of 16 px"):
        corner_spectrum(torch.zeros(0, 16, 16), 5.0)
    with pytest.raises(ConfigError, match="at least 8 shells for this lattice, found 5"):
        per_pixel(torch.zeros(5), Lattice.disc(16))


def test_likelihood_is_that_of_the_pixels():
    """White noise: Σ over packed points equals Σ r²/2s² over pixels of band-limited residuals (scipy's norm)."""
    lattice = Lattice.disc(12, dtype=torch.float64)
    generator = torch.Generator().manual_seed(4)
    noise = torch.randn(5, 12, 12, generator=generator, dtype=torch.float64)
    residual = images_to_packed(noise, lattice)
    image, deviation = packed_to_images(residual, lattice).numpy(), 1.7
    expected = (norm.logpdf(0, scale=deviation) - norm.logpdf(image, scale=deviation)).sum((-2, -1))
    variance = torch.full((lattice.size,), 12**2 * deviation**2, dtype=torch.float64)
    found = gaussian_nll(residual, variance, lattice.weight)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
    assert gaussian_nll(residual[:0], variance, lattice.weight).shape == (0,)


def test_likelihood_expects_one_per_point_and_half_at_the_origin():
    lattice = Lattice.disc(16, dtype=torch.float64)
    spectrum = torch.linspace(200, 20, 8, dtype=torch.float64)
    residual = images_to_packed(coloured(4000, spectrum, 16, seed=5), lattice)
    found = gaussian_nll(residual, per_pixel(spectrum, lattice), lattice.weight).mean()
    assert float(found) == pytest.approx(lattice.size - 0.5, rel=0.01)
