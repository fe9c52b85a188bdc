"""Filters against RELION's maps and by definition."""

import numpy as np
import pytest
import torch

from hypermol.errors import ConfigError, DataError
from hypermol.imaging.fourier import fft3
from hypermol.maps.files import read_map
from hypermol.maps.filter import apply_b_factor, low_pass


def shells(box):
    axis = torch.arange(box) - box // 2
    return torch.round(torch.sqrt((axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).double()))


@pytest.fixture
def relion(shared_data):
    folder = shared_data / "relion313_reference"
    return folder, *read_map(folder / "vol64.mrc")


def test_low_pass_is_that_of_relion(relion):
    """relion_image_handler --lowpass 25: relative error ≤ 1e-3 in each shell of the band, edge included."""
    folder, volume, pixel_size = relion
    theirs = fft3(read_map(folder / "vol64_lp25.mrc")[0])
    ours, shell = fft3(low_pass(volume, pixel_size, 25.0)), shells(64)
    edge = round(64 * pixel_size / 25)
    assert edge == 15
    for index in range(edge + 1):
        here = shell == index
        assert float((ours - theirs)[here].norm() / theirs[here].norm()) <= 1e-3, index
    beyond = shell > edge + 1
    assert float((ours - theirs)[beyond].abs().max()) <= 1e-5 * float(theirs.abs().max())
    assert float(ours[beyond].norm()) <= 1e-5 * float(ours.norm())


def test_b_factor_is_that_of_relion(relion):
    """relion_image_handler --bfactor -200 (sharpening) up to Nyquist, where RELION stops."""
    folder, volume, pixel_size = relion
    theirs = fft3(read_map(folder / "vol64_bf200.mrc")[0])
    ours, shell = fft3(apply_b_factor(volume, pixel_size, -200.0)), shells(64)
    for index in range(32):
        here = shell == index
        assert float((ours - theirs)[here].norm() / theirs[here].norm()) <= 1e-3, index
    blunt = apply_b_factor(apply_b_factor(volume, pixel_size, -200.0), pixel_size, 200.0)
    torch.testing.assert_close(blunt, volume, atol=1e-5 * float(volume.abs().max()), rtol=0)


def test_low_pass_of_a_wave():
    """A wave passes whole below the edge, not at all above, half at the edge; resolution is in Å."""
    box, pixel_size = 32, 2.0
    x = torch.arange(box, dtype=torch.float64) - box // 2
    for shell, expected in ((6, 1.0), (7, 1.0), (8, 0.5), (9, 0.0), (12, 0.0)):
        wave = torch.cos(2 * torch.pi * shell * x / box).expand(box, box, box)
        found = low_pass(wave, pixel_size, box * pixel_size / 8)
        torch.testing.assert_close(found, expected * wave, atol=1e-12, rtol=0)
    everything = torch.randn(8, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(low_pass(everything, 1.0, 0.5), everything)


def test_gradients_types_and_refusals():
    map_ = torch.randn(4, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m: low_pass(m, 1.0, 3.0), [map_])
    assert low_pass(torch.zeros(4, 4, 4), 1.0, 3.0).dtype == torch.float32
    assert apply_b_factor(torch.zeros(4, 4, 4), 1.0, 3.0).dtype == torch.float32
    for value in (0.0, -1.0, np.nan):
        with pytest.raises(ConfigError, match="resolution: expected a positive number of Å"):
            low_pass(torch.zeros(4, 4, 4), 1.0, value)
        with pytest.raises(ConfigError, match="pixel size: expected a positive"):
            apply_b_factor(torch.zeros(4, 4, 4), value, 10.0)
    with pytest.raises(DataError, match="map: expected an even"):
        low_pass(torch.zeros(5, 5, 5), 1.0, 3.0)
