"""The search near hypotheses finds what the full search finds, where one of them is near, in less work."""

import math
from types import SimpleNamespace

import pytest
import torch

from hypermol.imaging import (
    Lattice,
    geodesic_angle_deg,
    random_rotations,
    rotvec_to_matrix,
    shift_phase,
    slice_coordinates,
)
from hypermol.kernels import slice_grid, volume_to_grid
from hypermol.poses import NearLevels, ScoredImages, search_near, search_poses

BOX, COUNT = 24, 24


@pytest.fixture(scope="module")
def seen():
    """Images of blobs at known poses, noise of a tenth of their strength."""
    draw = torch.Generator().manual_seed(0)
    axis = torch.arange(BOX) - BOX / 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    places = 4 * torch.randn(12, 3, generator=draw)
    map_ = sum(torch.exp(-((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / 4) for a, b, c in places)
    grid, lattice = volume_to_grid(map_), Lattice.disc(BOX)
    rotation, shift = random_rotations(COUNT, draw), 1.5 * torch.randn(COUNT, 2, generator=draw).clamp(-1, 1)
    slices = slice_grid(grid, slice_coordinates(lattice.k, rotation), BOX)[..., 0] * shift_phase(lattice.k, shift)
    sigma = 0.1 * slices.abs().square().mean().sqrt()
    images = slices + sigma * torch.randn(slices.shape, dtype=slices.dtype, generator=draw)
    ones = torch.ones(COUNT, 1, lattice.size)
    batch = SimpleNamespace(
        images=images[:, None], ctf=ones, variance=ones * sigma**2, valid=torch.ones(COUNT, 1, dtype=torch.bool),
        tilt=torch.eye(3).expand(COUNT, 1, 3, 3), image_shift=torch.zeros(COUNT, 1, 2),
        pixel_size=1.0, lattice=lattice, shift_dim=2,
    )  # fmt: skip
    return ScoredImages.of(batch), grid, rotation, shift


def hypotheses(rotation, shift, angle_deg):
    """One of two is off by an angle, the other is far away."""
    axis = torch.nn.functional.normalize(torch.randn(COUNT, 3, generator=torch.Generator().manual_seed(1)), dim=1)
    near = rotvec_to_matrix(axis * math.radians(angle_deg)) @ rotation
    far = random_rotations(COUNT, torch.Generator().manual_seed(2))
    return torch.stack([far, near], 1), torch.stack([0 * shift, shift + 0.7], 1)


@pytest.mark.parametrize("angle", [0.0, 10.0, 25.0])
def test_as_good_as_the_full_search(seen, angle):
    images, grid, rotation, shift = seen
    found, moved, value = search_near(images, grid, *hypotheses(rotation, shift, angle))
    error = geodesic_angle_deg(found, rotation)
    assert float(error.median()) < 1.0
    assert float((error < 5).float().mean()) > 0.9
    assert float((moved - shift).norm(dim=1).median()) < 0.2
    full = search_poses(images, grid).log_likelihood[:, 0]
    assert float((value >= full - 1).double().mean()) > 0.9


def test_the_reach_is_a_reach(seen):
    """Hypotheses 60° off are not saved by 20° of search."""
    images, grid, rotation, shift = seen
    found, _, _ = search_near(images, grid, *hypotheses(rotation, shift, 60.0), NearLevels(20.0, 10.0))
    assert float((geodesic_angle_deg(found, rotation) < 5).float().mean()) < 0.5


@pytest.mark.parametrize("considered", [1, 3])
def test_hypotheses_far_off_are_not_searched_around(seen, considered):
    """One of nine is near: it is among the likeliest, and what the others ask costs nothing."""
    images, grid, rotation, shift = seen
    two, moved = hypotheses(rotation, shift, 8.0)
    others = [random_rotations(COUNT, torch.Generator().manual_seed(3 + index)) for index in range(7)]
    many = torch.cat([torch.stack(others, 1), two], 1), torch.cat([shift[:, None].expand(-1, 7, -1), moved], 1)
    found, _, _ = search_near(images, grid, *many, NearLevels(15.0, 7.5, considered=considered))
    assert float((geodesic_angle_deg(found, rotation) < 5).float().mean()) > 0.8
