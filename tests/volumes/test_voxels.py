"""Voxel grids that are learned, and the sine network in Fourier space."""

import torch

from hypermol.imaging import Lattice, random_rotations, slice_coordinates
from hypermol.kernels import slice_grid, volume_to_grid
from hypermol.testing import VolumeContract, small_context
from hypermol.volumes import FourierNet, VoxelGrid
from hypermol.volumes.voxels import hartley_grid


class TestRealVoxels(VolumeContract):
    interpolates = True

    def build(self):
        return VoxelGrid().build(small_context())


class TestHartleyVoxels(VolumeContract):
    interpolates = True

    def build(self):
        return VoxelGrid(space="hartley").build(small_context())


class TestPrincipalVoxels(VolumeContract):
    interpolates = True

    def build(self):
        return VoxelGrid(z_dim=2).build(small_context())


class TestPrincipalHartleyVoxels(VolumeContract):
    interpolates = True

    def build(self):
        return VoxelGrid(z_dim=2, space="hartley").build(small_context())


class TestFourierNet(VolumeContract):
    def build(self):
        return FourierNet(hidden=16, layers=1, envelope_layers=1).build(small_context())


def blob() -> torch.Tensor:
    """A Gaussian off the origin, [16, 16, 16]."""
    axis = torch.arange(16.0) - 8
    square = (axis[:, None, None] + 1) ** 2 + axis[:, None] ** 2 + (axis - 2) ** 2
    return torch.exp(-square / 8)


def test_a_hartley_grid_holds_the_same_map() -> None:
    """Its slices are those of the map on a Fourier grid, and it gives the map back."""
    volume = VoxelGrid(space="hartley").build(small_context())
    volume.numbers.data = hartley_grid(blob()[None]) / volume.unit
    k = slice_coordinates(Lattice.disc(16).k, random_rotations(3, torch.Generator().manual_seed(0)).float())
    with torch.no_grad():
        found = volume.values(k, None)
    torch.testing.assert_close(found, slice_grid(volume_to_grid(blob()), k, 16)[..., 0], atol=1e-4, rtol=0)
    torch.testing.assert_close(volume.maps(None)[0], blob(), atol=0.01, rtol=0)


def test_z_weighs_principal_grids() -> None:
    volume = VoxelGrid(z_dim=2).build(small_context())
    z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, -3.0]])
    first, second, mixed = volume.maps(z)
    mean = volume.maps(torch.zeros(1, 2))[0]
    torch.testing.assert_close(mixed - mean, 2 * (first - mean) - 3 * (second - mean))


def test_random_start_is_a_hundredth_of_the_signal() -> None:
    context = small_context()
    volume = VoxelGrid().build(context)
    k = slice_coordinates(Lattice.disc(16).k, random_rotations(8, torch.Generator().manual_seed(0)).float())
    with torch.no_grad():
        power = volume.values(k, None).abs().square().mean()
    typical = context.signal_amplitude[Lattice.disc(16).shell].square().mean()
    assert 0.002 < float((power / typical).sqrt()) < 0.05
