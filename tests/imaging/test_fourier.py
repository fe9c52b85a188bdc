"""Transforms against numpy and scipy; cropping against band-limited resampling and RELION."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample

from hypermol.errors import ConfigError, DataError
from hypermol.imaging.fourier import fft2, fft3, fourier_crop, fourier_resample, ifft2, ifft3
from hypermol.maps.files import read_map


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_centred_transforms_are_those_of_numpy():
    x = noise(2, 6, 6, 6)
    for forward, backward, axes in ((fft2, ifft2, (-2, -1)), (fft3, ifft3, (-3, -2, -1))):
        shifted = np.fft.fftn(np.fft.ifftshift(x.numpy(), axes=axes), axes=axes)
        np.testing.assert_allclose(forward(x).numpy(), np.fft.fftshift(shifted, axes=axes), atol=1e-12)
        torch.testing.assert_close(backward(forward(x)), x + 0j)
        assert forward(x.float()).dtype == torch.complex64
        assert forward(x[:0]).shape == backward(x[:0]).shape == (0, 6, 6, 6)


def test_a_point_at_the_origin_has_a_flat_real_transform():
    image = torch.zeros(8, 8, dtype=torch.float64)
    image[4, 4] = 1
    torch.testing.assert_close(fft2(image), torch.ones(8, 8, dtype=torch.complex128))


@settings(max_examples=20, deadline=None)
@given(small=st.integers(1, 6), extra=st.integers(0, 5), dims=st.sampled_from([2, 3]), seed=st.integers(0, 99))
def test_cropping_is_band_limited_resampling(small, extra, dims, seed):
    size, box = 2 * (small + extra), 2 * small
    x = noise(2, *(size,) * dims, seed=seed)
    expected = np.fft.ifftshift(x.numpy(), axes=range(1, dims + 1))
    for axis in range(1, dims + 1):
        expected = resample(expected, box, axis=axis)
    expected = np.fft.fftshift(expected, axes=range(1, dims + 1))
    found = fourier_crop(x, box, dims)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)
    axes = tuple(range(-dims, 0))
    torch.testing.assert_close(found.mean(axes), x.mean(axes))


def test_cropped_values_keep_their_meaning():
    """A smooth density sampled at two pixel sizes: cropping one gives the other, value for value."""
    fine, coarse = (torch.arange(n, dtype=torch.float64) - n // 2 for n in (48, 24))
    images = [torch.exp(-((step * x[:, None] - 3) ** 2 + (step * x) ** 2) / 26) for step, x in ((1, fine), (2, coarse))]
    torch.testing.assert_close(fourier_crop(images[0], 24), images[1], atol=1e-6, rtol=0)


def test_rescaling_is_that_of_relion(shared_data):
    """relion_image_handler --rescale_angpix, 64³ → 40³: relative error ≤ 1e-3 in each shell of the band."""
    folder = shared_data / "relion313_reference"
    volume, pixel_size = read_map(folder / "vol64.mrc")
    theirs, their_pixel_size = read_map(folder / "vol64_to40.mrc")
    ours = fourier_crop(volume, 40, dims=3)
    assert pixel_size * 64 / 40 == pytest.approx(their_pixel_size, rel=1e-5)
    difference, reference = fft3(ours - theirs), fft3(theirs)
    axis = torch.arange(40) - 20
    shell = torch.round(torch.sqrt((axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).double()))
    for index in range(20):
        here = shell == index
        assert float(difference[here].norm() / reference[here].norm()) <= 1e-3, index


def test_impossible_crops_are_refused():
    with pytest.raises(DataError, match=r"images to crop.*found 33 px.*:32"):
        fourier_crop(torch.zeros(33, 33), 16)
    with pytest.raises(DataError, match="new box: expected an even"):
        fourier_crop(torch.zeros(32, 32), 15)
    with pytest.raises(ConfigError, match=r"\(64 px\) is larger than the images \(32 px\)"):
        fourier_crop(torch.zeros(32, 32), 64)
    assert fourier_crop(torch.zeros(0, 32, 32), 16).shape == (0, 16, 16)


@pytest.mark.parametrize(("old", "new"), [(16, 24), (24, 16), (16, 16)])
@pytest.mark.parametrize("dims", [2, 3])
def test_resampling_crops_or_pads(old, new, dims):
    """scipy's resampling axis by axis gives the same; the way back from a larger box gives what was there."""
    x, axes = noise(2, *(old,) * dims, seed=dims), range(1, dims + 1)
    expected = np.fft.ifftshift(x.numpy(), axes=axes)
    for axis in axes:
        expected = resample(expected, new, axis=axis)
    found = fourier_resample(x, new, dims)
    np.testing.assert_allclose(found.numpy(), np.fft.fftshift(expected, axes=axes), atol=1e-12)
    if new >= old:
        torch.testing.assert_close(fourier_resample(found, old, dims), x)
