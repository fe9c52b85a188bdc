import dataclasses

import pytest
import torch

from hypermol.errors import ConfigError
from hypermol.imaging import Lattice, fft2, random_rotations, rotvec_to_matrix, slice_coordinates
from hypermol.maps import rigid_fields, transform_map
from hypermol.testing import VolumeContract, small_context
from hypermol.volumes import MapGenerator, PositiveVoxels, VoxelModes


class TestVoxels(VolumeContract):
    def build(self):
        return PositiveVoxels().build(small_context())


class TestGenerator(VolumeContract):
    def build(self):
        return MapGenerator(channels=2).build(small_context())


class TestGeneratorAlone(VolumeContract):
    def build(self):
        return MapGenerator(z_dim=3, channels=2, base="none").build(small_context())


class TestModes(VolumeContract):
    def build(self):
        return VoxelModes(z_dim=2, modes=3, hidden=4).build(small_context())


def test_modes_have_no_part_in_the_map_that_all_conformations_share():
    """Amounts of mean 0 and variance 1 over z from 0 to 1, whatever the network; at first they are nearly cosines."""
    volume = VoxelModes(modes=2, hidden=8).build(small_context())
    z = ((torch.arange(4096) + 0.5) / 4096)[:, None]
    with torch.no_grad():
        for weight in (volume.first.weight, volume.last.weight):
            weight.mul_(3.0)
        amounts = volume.amounts(z)
        torch.testing.assert_close(amounts.mean(0), torch.zeros(2), atol=0.01, rtol=0)
        torch.testing.assert_close(amounts.std(0), torch.ones(2), atol=0.02, rtol=0)
        shared = volume.raw(z).mean(0)
        torch.testing.assert_close(shared, volume._voxels(3.0 * volume.map[None])[0], atol=5e-3, rtol=0)
        for layer in (volume.first, volume.second, volume.last):
            layer.weight.zero_()
        torch.testing.assert_close(volume.amounts(z)[:, 0], 2**0.5 * torch.cos(torch.pi * z[:, 0]), atol=0.02, rtol=0)


def _blobs(*places, width=2.0):
    axis = torch.arange(24) - 12.0
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    return sum(torch.exp(-((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / (2 * width**2)) for a, b, c in places)


def test_the_price_of_frames_is_that_of_turning_and_turns_back(monkeypatch):
    """Two maps that differ in whether an arm is there lie as the truth does: no turn would bring them nearer. One of
    them turned by ω has about (ω/2)² |L V₀|²/|V₀|², and steps down the gradient of the price turn it back."""
    body = _blobs((0, 0, 0), (5, 1, -3), (-4, 5, 2), (-3, -5, -4), (2, -3, 5))
    arm = 0.3 * _blobs((5, 1, -3), (-4, 5, 2))  # where there is density already: it has no torque on the body
    volume = VoxelModes(hidden=2).build(small_context())

    def price(pair):
        monkeypatch.setattr(volume, "densities", lambda z: pair)
        return volume.frame(torch.zeros(2, 1))

    assert float(price(torch.stack([body, body]))) < 1e-8
    field = rigid_fields(body)[2]
    stiff = float(field.square().sum() / body.square().sum())
    lasts = None
    for angle in (0.05, 0.1):
        turn = rotvec_to_matrix(torch.tensor([0.0, 0.0, angle], dtype=torch.float64))
        turned = transform_map(body, turn, torch.zeros(3, dtype=torch.float64))
        found = float(price(torch.stack([body, turned])))
        assert found == pytest.approx((angle / 2) ** 2 * stiff, rel=0.1)
        assert lasts is None or found > lasts
        lasts = found
    truth = float(price(torch.stack([body + arm, body - arm])))
    assert truth < 0.05 * lasts
    pair = torch.stack([body, turned]).requires_grad_()
    start = float((field * (turned - body)).sum())
    for _ in range(60):
        (slope,) = torch.autograd.grad(price(pair), pair)
        pair = (pair - 20.0 * slope).detach().requires_grad_()
    left = pair.detach()
    assert abs(float((field * (left[1] - left[0])).sum())) < 0.3 * abs(start)


def test_shifts_have_a_price_where_they_are_free(monkeypatch):
    body = _blobs((0, 0, 0), (5, 1, -3), (-4, 5, 2))
    volume = VoxelModes(hidden=2).build(small_context())
    pair = torch.stack([body, body.roll(1, 2)])
    monkeypatch.setattr(volume, "densities", lambda z: pair)
    z = torch.zeros(2, 1)
    assert float(volume.frame(z, shifts=True)) > 0.9 * float(volume.frame(z)) + 0.01


def test_densities_are_positive_inside_the_sphere_and_nothing_outside():
    volume = PositiveVoxels().build(small_context())
    with torch.no_grad():
        volume.voxels.mul_(100.0)
    density = volume.densities(None)[0]
    assert (density >= 0).all()
    assert (density[volume.sphere > 0] > 0).any()
    assert (density[volume.sphere == 0] == 0).all()


def test_slices_are_transforms_of_projections():
    """Untilted, against the transform of the sum along z. The map is smooth, as no map of voxels need be;
    what is left is trilinear interpolation."""
    volume = PositiveVoxels().build(small_context())
    axis = torch.arange(16) - 8.0
    square = (axis[:, None, None] - 1) ** 2 + (axis[:, None] + 2) ** 2 + axis**2
    with torch.no_grad():
        volume.voxels.copy_(6 * torch.exp(-square / 8) - 2)
    lattice = Lattice.disc(16)
    found = volume.values(slice_coordinates(lattice.k, torch.eye(3)[None]), None)[0]
    direct = lattice.pack(fft2(volume.densities(None)[0].sum(0)))
    assert (found - direct).abs().max() < 0.05 * direct.abs().max()


def test_neighbours_of_one_z_are_what_they_are_alone():
    volume = MapGenerator(channels=2).build(small_context())
    k = slice_coordinates(Lattice.disc(16).k, random_rotations(5, generator=torch.Generator().manual_seed(0)).float())
    z = torch.tensor([[0.1], [0.1], [0.9], [0.1], [0.1]])
    with torch.no_grad():
        together = volume.values(k, z)
        alone = torch.cat([volume.values(k[i : i + 1], z[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5 * float(alone.abs().max()))


def test_every_row_of_a_z_that_moves_has_its_own_derivative():
    volume = MapGenerator(channels=2).build(small_context())
    k = slice_coordinates(Lattice.disc(16).k, random_rotations(2, generator=torch.Generator().manual_seed(0)).float())
    z = torch.full((2, 1), 0.3, requires_grad=True)
    volume.values(k, z)[1].abs().square().sum().backward()
    assert z.grad[0] == 0
    assert z.grad[1] != 0


def test_the_input_is_the_segment_of_the_paper():
    """z = 0 and 1 feed the network the two fixed tensors, and 1/4 what lies a quarter of the way between."""
    volume = MapGenerator(channels=2).build(small_context())
    seen = []
    volume.fine.register_forward_pre_hook(lambda module, given: seen.append(given[0][:, 0]))
    volume.densities(torch.tensor([[0.0], [0.25], [1.0]]))
    spread = 0.025 / 12**0.5
    for row, tensor in ((0, volume.tensors[0]), (2, volume.tensors[1])):
        torch.testing.assert_close(seen[0][row], (tensor - 0.0125) / spread)
    torch.testing.assert_close(seen[0][1], 0.75 * seen[0][0] + 0.25 * seen[0][2])
    assert 0 <= float(volume.tensors.min()) <= float(volume.tensors.max()) <= 0.025


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="multiple of 4"):
        MapGenerator().build(dataclasses.replace(small_context(), box=18))
    with pytest.raises(ConfigError, match="made from a z"):
        MapGenerator(channels=2).build(small_context()).densities(None)
    with pytest.raises(ConfigError, match="made from a z"):
        VoxelModes(hidden=2).build(small_context()).densities(None)
