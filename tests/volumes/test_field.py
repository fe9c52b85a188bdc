import dataclasses
import math

import pytest
import torch

from hypermol.errors import ConfigError
from hypermol.imaging import Lattice, fft3, random_rotations, slice_coordinates
from hypermol.specs import BuildContext
from hypermol.testing import VolumeContract, small_context
from hypermol.volumes import FourierField, coarse_map


class TestFourier(VolumeContract):
    def build(self):
        return FourierField(z_dim=3, hidden=16, layers=1).build(small_context())


class TestHartley(VolumeContract):
    def build(self):
        return FourierField(z_dim=2, hidden=16, layers=1, output="hartley").build(small_context())


class TestGeometricHomogeneous(VolumeContract):
    def build(self):
        return FourierField(z_dim=0, hidden=16, layers=1, encoding="geometric").build(small_context())


class TestOnConsensus(VolumeContract):
    def build(self):
        return FourierField(z_dim=2, hidden=16, layers=1, base="consensus").build(small_context())


def test_consensus_base_needs_one():
    context = BuildContext(16, 3.0, 4, Lattice.disc(16).size, torch.ones(8), torch.ones(8), 0)
    with pytest.raises(ConfigError, match="needs poses"):
        FourierField(base="consensus").build(context)


def test_consensus_base_adds_its_slices(blob_map):
    """With a silent network the family is the consensus map: its slices are those of the map, by another route."""
    context = small_context()
    context = BuildContext(**{**vars(context), "consensus": lambda: blob_map})
    volume = FourierField(z_dim=1, hidden=8, layers=1, base="consensus").build(context)
    volume.network.last.scale_(0.0)
    maps = volume.maps(torch.zeros(1, 1))
    assert torch.allclose(maps[0], blob_map, atol=1e-5)
    k = slice_coordinates(Lattice.disc(16).k, random_rotations(4).float())
    centre, width = torch.tensor([1.0, 0.0, -1.0]), 4.0  # the blob, transformed by hand
    exact = (2 * math.pi * width) ** 1.5 * torch.exp(
        -2 * math.pi**2 * width * k.square().sum(-1) - 2j * math.pi * (k @ centre)
    )
    error = (volume.values(k, torch.zeros(4, 1)) - exact)[:, 1:].abs().max()  # linear interpolation, oversampled twice
    assert error < 0.03 * exact.abs().max()


def test_geometric_series_is_the_papers():
    """Eq. 7-8 of Zhong et al. 2020 for D = 8, written out."""
    from math import cos, pi, sin

    from hypermol.networks import GeometricEncoding

    k = 0.3
    expected = [8 * pi * (2 / 8) ** (2 * i / 8) for i in range(1, 5)]
    found = GeometricEncoding(8)(torch.tensor([k, 0.0, 0.0]))
    assert torch.allclose(found[:4], torch.tensor([sin(k * f) for f in expected]), atol=1e-5)
    assert torch.allclose(found[12:16], torch.tensor([cos(k * f) for f in expected]), atol=1e-5)
    assert len(GeometricEncoding(20, highest=0.9)(torch.zeros(3))) == 6 * 9


@pytest.mark.parametrize("seed", range(5))
def test_random_features_cover_the_molecule_evenly(seed):
    """Of a Gaussian molecule, less lies far from all points than independent draws leave, and each seed draws its own.
    Width is the points' deviation per axis."""
    from hypermol.networks import GaussianEncoding

    generator = torch.Generator().manual_seed(100 + seed)
    molecule, drawn = (torch.randn(n, 3, generator=generator) for n in (4000, 96))
    spread = GaussianEncoding(64, width=0.15, seed=seed).frequency.T / (2 * math.pi * 0.15 * 64)

    def far(points):
        return float((torch.cdist(molecule, torch.cat([points, -points])).amin(1) > 0.5).double().mean())

    assert spread.shape == (96, 3)
    assert abs(float(spread.square().mean()) - 1) < 1e-5
    assert far(spread) < far(drawn) * 2 / 3
    assert not torch.equal(spread, GaussianEncoding(64, width=0.15, seed=seed + 1).frequency.T)


def test_z_enters_the_first_layer_as_if_joined():
    """W [features, z] of the paper equals the split product used here."""
    from hypermol.networks import ResidualMLP

    network = ResidualMLP(5, 7, 2, 2, context=3).double()
    x, z = torch.randn(4, 6, 5).double(), torch.randn(4, 3).double()
    joined = torch.cat([x, z[:, None].expand(4, 6, 3)], -1)
    weight = torch.cat([network.first.weight, network.context.weight], 1)
    hidden = torch.relu(joined @ weight.T + network.first.bias)
    for layer in network.body:
        hidden = torch.relu(hidden + hidden @ layer.weight.T + layer.bias)
    expected = hidden @ network.last.weight.T + network.last.bias
    assert torch.allclose(network(x, z), expected)


def test_output_is_scaled_by_the_noise_or_a_tenth_of_the_signal():
    noise, signal = torch.linspace(3.0, 1.0, 8), torch.linspace(80.0, 0.1, 8)
    context = dataclasses.replace(small_context(), noise_amplitude=noise, signal_amplitude=signal)
    field = FourierField(hidden=8, layers=1).build(context)
    torch.testing.assert_close(field.envelope, torch.tensor([max(n, s / 10) for n, s in zip(noise, signal)]))


def test_training_begins_near_the_consensus_however_loud_the_noise():
    loud = dataclasses.replace(small_context(), noise_amplitude=1e4 * torch.ones(8))
    field = FourierField(z_dim=2, hidden=8, layers=1, base="consensus").build(loud)
    k = slice_coordinates(Lattice.disc(16).k, random_rotations(4).float())
    assert 0 < field.values(k, torch.randn(4, 2)).abs().max() < loud.signal_amplitude.min()


def test_band_limited_slices_are_a_prefix():
    volume = FourierField(z_dim=0, hidden=8, layers=1).build(small_context())
    lattice = Lattice.disc(16)
    rotation = random_rotations(1).float()
    whole = volume.values(slice_coordinates(lattice.k, rotation), None)
    low = volume.values(slice_coordinates(lattice.limit(4).k, rotation), None)
    assert torch.allclose(whole[:, : low.shape[1]], low, atol=1e-6)


@pytest.fixture
def blob_map():
    axis = torch.arange(16) - 8.0
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    return torch.exp(-((x - 1) ** 2 + y**2 + (z + 1) ** 2) / 8)


def test_a_coarse_map_has_the_transform_of_the_whole_one() -> None:
    volume = FourierField(z_dim=1, hidden=16, layers=1).build(small_context())
    z, box = torch.tensor([[0.7]]), volume.box
    small = box - 4
    whole, coarse = fft3(volume.maps(z)[0]), fft3(coarse_map(volume.values, box, small, z, torch.device("cpu")))
    middle = slice(2, box - 2)
    axis = torch.arange(small) - small // 2
    z_, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    inside = (x**2 + y**2 + z_**2).double().sqrt().round() <= small // 2 - 1
    torch.testing.assert_close(coarse[inside], whole[middle, middle, middle][inside], rtol=1e-4, atol=1e-4)


def test_a_network_with_silent_z_begins_as_one_map_and_learns_to_use_z() -> None:
    k = slice_coordinates(Lattice.disc(16).k, random_rotations(4, generator=torch.Generator().manual_seed(0)).float())
    z = torch.linspace(-1, 1, 8).reshape(4, 2)
    silent = FourierField(z_dim=2, hidden=16, layers=1, z_weight=0).build(small_context())
    torch.testing.assert_close(silent.values(k, z), silent.values(k, torch.zeros_like(z)))
    silent.values(k, z).abs().sum().backward()
    assert bool((silent.network.context.weight.grad != 0).any())
    loud = FourierField(z_dim=2, hidden=16, layers=1).build(small_context())
    assert not torch.allclose(loud.values(k, z), loud.values(k, torch.zeros_like(z)))
