"""The same numbers on a GPU as on the CPU, in both precisions. Needs CUDA; skips with the reason elsewhere."""

import pytest
import torch

import hypermol.kernels as kernels
from hypermol.imaging.ctf import CTF
from hypermol.imaging.forward import apply_optics, slice_coordinates
from hypermol.imaging.fourier import images_to_packed, packed_to_images
from hypermol.imaging.lattice import Lattice
from hypermol.imaging.noise import corner_spectrum
from hypermol.imaging.rotations import random_rotations
from hypermol.imaging.shifts import shift_phase


@pytest.fixture
def device():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    return torch.device("cuda")


def image_formation(device, dtype):
    generator = torch.Generator().manual_seed(0)
    box = 16
    volume = torch.randn(box, box, box, generator=generator, dtype=dtype).to(device)
    rotation = random_rotations(5, generator, dtype=dtype).to(device)
    shift = torch.randn(5, 2, generator=generator, dtype=dtype).to(device)
    lattice = Lattice.disc(box, dtype=dtype, device=device)
    k3 = slice_coordinates(lattice.k, rotation)
    slices = kernels.slice_grid(kernels.volume_to_grid(volume), k3, box)[..., 0]
    ctf = CTF.create([9000.0] * 5).to(device).evaluate(lattice.k, 2.5)
    packed = apply_optics(slices, ctf, shift_phase(lattice.k, shift))
    images = packed_to_images(packed, lattice)
    grid, weights = kernels.insert_grid(images_to_packed(images, lattice)[..., None], ctf.square(), k3, box)
    volume = kernels.grid_to_volume(kernels.symmetrise_grid(grid), box)
    return images, weights, volume, corner_spectrum(images, 6.0), lattice.limit(4).unpack(packed[:, : lattice.count(4)])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_gpu_gives_the_numbers_of_the_cpu(device, dtype):
    for found, expected in zip(image_formation(device, dtype), image_formation(torch.device("cpu"), dtype)):
        assert found.device.type == "cuda"
        assert found.dtype == expected.dtype
        tolerance = 1e-10 if dtype == torch.float64 else 2e-4
        scale = float(expected.abs().max())
        torch.testing.assert_close(found.cpu(), expected, atol=tolerance * scale, rtol=0)


def test_image_formation_runs_in_both_precisions():
    for dtype in (torch.float32, torch.float64):
        for part in image_formation(torch.device("cpu"), dtype):
            assert bool(part.isfinite().all())
    assert Lattice.disc(16).limit(4).size == Lattice.disc(16, 4).size


def grid_statistics(device):
    """What the closed-form methods take from images: Gram matrices, sums of moments, of separate maps, of columns."""
    generator, box, images, channels = torch.Generator().manual_seed(1), 16, 9, 3
    k = Lattice.disc(box).k.to(device)
    numerator = torch.randn(images, len(k), generator=generator, dtype=torch.complex64).to(device)
    weight = torch.rand(images, len(k), generator=generator).to(device)
    rotation = random_rotations(images, generator).to(device)
    volumes = torch.randn(channels, box, box, box, generator=generator).to(device)
    grid, half = kernels.volumes_to_grid(volumes), (torch.arange(images) % 2).to(device)
    first, second = torch.rand(images, channels, generator=generator), torch.rand(images, 6, generator=generator)
    moments = torch.zeros(2, *kernels.grid_shape(box), kernels.record_size(channels), device=device)
    data = numerator, weight, rotation, first.to(device), second.to(device), half
    kernels.insert_moments(*data, k, box, moments)
    separate = torch.zeros(2, *kernels.grid_shape(box), 3 * channels, device=device)
    kernels.insert_separate(*data[:4], data[4][:, :channels].contiguous(), half, k, box, separate)
    places = torch.tensor([[2.0, 0.0, -1.0], [-1.0, 1.7, 0.4]], device=device)
    columns = torch.zeros(2, len(places), *kernels.grid_shape(box, 1), 5, device=device)
    kernels.insert_columns(numerator, weight, rotation, half, places, 1.3, k, box, columns, 1)
    slices = numerator, weight, rotation, k, box
    return *kernels.slice_moments(grid, *slices), *kernels.slice_separate(grid, *slices), moments, separate, columns


def test_statistics_on_a_gpu_are_those_of_the_cpu(device):
    for found, expected in zip(grid_statistics(device), grid_statistics(torch.device("cpu")), strict=True):
        assert found.device.type == "cuda"
        torch.testing.assert_close(found.cpu(), expected, atol=2e-4 * float(expected.abs().max()), rtol=0)


def test_statistics_are_finite_on_the_cpu():
    assert all(bool(part.isfinite().all()) for part in grid_statistics(torch.device("cpu")))
