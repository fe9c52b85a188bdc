"""Fourier grids: which transform, which gridding correction, and what comes back."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import hypermol.kernels as kernels
from hypermol.errors import ConfigError, DataError


def noise(box, seed=0, channels=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(channels, box, box, box, generator=generator, dtype=torch.float64)


def test_grid_points_are_the_transform_of_the_corrected_padded_volume():
    volume = noise(6)[0].numpy()
    grid = kernels.volume_to_grid(torch.from_numpy(volume)).numpy()[..., 0]
    assert grid.shape == (12, 12, 7)
    position = np.arange(6) - 3
    profile = np.sinc(position / 12) ** 2
    corrected = volume / (profile[:, None, None] * profile[:, None] * profile)
    for z, y, x in [(0, 0, 0), (3, -2, 1), (-6, 5, 6), (-1, 0, 4)]:
        wave = [np.exp(-2j * np.pi * n * position / 12) for n in (z, y, x)]
        expected = np.einsum("zyx,z,y,x", corrected, *wave)
        np.testing.assert_allclose(grid[z + 6, y + 6, x], expected, atol=1e-10)


@settings(max_examples=15, deadline=None)
@given(half=st.integers(1, 6), oversampling=st.integers(1, 3), channels=st.integers(1, 3), seed=st.integers(0, 99))
def test_round_trip_of_sliced_grids(half, oversampling, channels, seed):
    volumes = noise(2 * half, seed, channels)
    grid = kernels.volumes_to_grid(volumes, oversampling)
    torch.testing.assert_close(kernels.sliced_grid_to_volumes(grid, 2 * half), volumes)


def test_inserting_densely_and_averaging_gives_the_volume_back():
    """Samples of a smooth object at every grid position and half-way between, averaged by their weights."""
    box, size = 12, 24
    axis = torch.arange(box, dtype=torch.float64) - box // 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    volume = torch.exp(-((x - 1) ** 2 + (y + 2) ** 2 + (z - 0.5) ** 2) / (2 * 1.2**2))
    steps = torch.arange(-19, 20, dtype=torch.float64) / 2 / size
    kz, ky, kx = torch.meshgrid(steps, steps, steps[steps >= 0], indexing="ij")
    k3 = torch.stack([kx, ky, kz], dim=-1).reshape(1, -1, 3)
    waves = [torch.exp(-2j * torch.pi * steps[:, None] * axis)] * 2
    waves.append(torch.exp(-2j * torch.pi * steps[steps >= 0][:, None] * axis))
    values = torch.einsum("zyx,cz,by,ax->cba", volume.to(torch.complex128), *waves).reshape(1, -1, 1)
    own = (k3[..., 0] == 0)[..., None]
    values = torch.where(own, values / 2, values)  # both ±k of the plane are in the list
    weights = torch.where(own[..., 0], 0.5, 1.0).double()
    grid, weight_grid = kernels.insert_grid(values, weights, k3, box)
    grid, weight_grid = kernels.symmetrise_grid(grid), kernels.symmetrise_grid(weight_grid[..., None])
    found = kernels.grid_to_volume(grid / weight_grid.clamp(min=1e-3), box)
    # the band of the samples ends at 0.4 cycles/pixel, where the Gaussian has fallen to 1 %
    assert float((found - volume).abs().max()) < 0.02
    uncorrected = kernels.sliced_grid_to_volumes(grid / weight_grid.clamp(min=1e-3), box)[0]
    assert float((uncorrected - volume).abs().max()) > 2 * float((found - volume).abs().max())


def test_symmetrising_counts_each_sample_and_its_opposite():
    plane = torch.randn(8, 8, 5, 1, dtype=torch.complex128, generator=torch.Generator().manual_seed(1))
    full = kernels.symmetrise_grid(plane)[:, :, 0, 0]
    assert torch.equal(full[1:, 1:].flip((0, 1)).conj(), full[1:, 1:])
    torch.testing.assert_close(full[4, 4], 2 * plane[4, 4, 0, 0].real + 0j)
    assert torch.equal(kernels.symmetrise_grid(plane)[:, :, 1:], plane[:, :, 1:])


def test_gradients_and_types():
    volume = noise(4)[0].requires_grad_()
    assert torch.autograd.gradcheck(kernels.volume_to_grid, [volume])
    assert kernels.volume_to_grid(volume.detach().float()).dtype == torch.complex64
    grid = kernels.volume_to_grid(volume.detach().float())
    assert kernels.grid_to_volume(grid, 4).dtype == torch.float32


def test_wrong_boxes_are_refused():
    with pytest.raises(DataError, match="volume: expected an even, positive box size, found 5 px"):
        kernels.volume_to_grid(torch.zeros(5, 5, 5))
    with pytest.raises(ConfigError, match="does not belong to a box of 6 px"):
        kernels.grid_to_volume(torch.zeros(8, 8, 5, 1, dtype=torch.complex64), 6)


@settings(max_examples=15, deadline=None)
@given(half=st.integers(1, 6), oversampling=st.integers(1, 3), channels=st.integers(1, 3), seed=st.integers(0, 99))
def test_grids_of_their_own_are_the_channels_of_one(half, oversampling, channels, seed):
    volumes = noise(2 * half, seed, channels)
    one = kernels.volumes_to_grid(volumes, oversampling)
    torch.testing.assert_close(kernels.volumes_to_grids(volumes, oversampling)[..., 0].movedim(0, -1), one)
