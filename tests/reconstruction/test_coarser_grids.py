"""A grid as small as the band allows gives the same transforms as the whole one."""

import pytest
import torch

from hypermol.errors import ConfigError
from hypermol.imaging import Lattice, fft3, fourier_pad, random_rotations
from hypermol.reconstruction import Insertion, LinearInsertion, LinearSums

BOX, BAND, SMALL = 32, 7, 16


def solved(images: Insertion, band: int) -> torch.Tensor:
    """Least-squares map of one channel, lightly damped."""
    one = torch.ones(len(images.half), 1)
    total = LinearInsertion(images, one, one[..., None]).add_to(None)
    first = LinearSums.completed(total, images.lattice.box, 1)[0]
    return first.solve(100 * first.noise(), band)[0]


def test_a_small_grid_holds_the_same_transforms() -> None:
    lattice, draw = Lattice.disc(BOX), torch.Generator().manual_seed(0)
    count = 600
    rotation = random_rotations(count, generator=draw).float()
    blobs = 2 * torch.randn(6, 3, generator=draw)
    points = torch.einsum("pc,ncd->npd", lattice.k, rotation[:, :2])  # Rᵀ(kx, ky, 0)
    phases = -2 * torch.pi * points @ blobs.T
    values = torch.polar(torch.ones_like(phases), phases).sum(-1) * torch.exp(-20 * points.square().sum(-1))
    half = torch.zeros(count, dtype=torch.long)
    images = Insertion(values * lattice.weight, lattice.weight.expand(count, -1), rotation, half, lattice)
    small = images.coarser(BAND, SMALL)
    assert small.lattice.box == SMALL
    assert small.numerator.shape[1] == lattice.count(BAND)
    whole = fft3(solved(images, BAND))
    coarse = fft3(fourier_pad(solved(small, BAND), BOX, dims=3) * (SMALL / BOX) ** 3)
    axis = torch.arange(BOX) - BOX // 2
    radius = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).double().sqrt()
    inside = radius <= BAND - 1
    error = (whole - coarse)[inside].abs().square().sum() / whole[inside].abs().square().sum()
    assert float(error.sqrt()) < 0.02


def test_a_lattice_beyond_the_box_is_refused() -> None:
    with pytest.raises(ConfigError, match="holds shells up to 7"):
        Lattice.disc(BOX).in_box(SMALL)
