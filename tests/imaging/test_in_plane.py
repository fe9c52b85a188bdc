"""Turning images in their plane, against exact turns and the slices of a map under turned poses."""

import math

import pytest
import torch

from hypermol.errors import ConfigError
from hypermol.imaging import (
    QUARTER_TURN,
    Lattice,
    in_plane_angle,
    moved_images,
    random_rotations,
    rotvec_to_matrix,
    slice_coordinates,
    turned_images,
)
from hypermol.kernels import slice_grid, volume_to_grid

BOX = 32


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blob() -> torch.Tensor:
    """A map without symmetry, in the middle third of its box."""
    axis = torch.arange(BOX) - BOX // 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    map_ = torch.zeros(BOX, BOX, BOX)
    for centre in ((2.0, 1.0, -3.0), (-3.0, 2.0, 1.0), (0.0, -4.0, 2.0), (3.0, 3.0, 3.0)):
        map_ += torch.exp(-((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2) / 5)
    return map_


def slices(rotation: torch.Tensor, lattice: Lattice) -> torch.Tensor:
    return slice_grid(volume_to_grid(blob()), slice_coordinates(lattice.k, rotation), BOX)[..., 0]


def about_z(angle: torch.Tensor) -> torch.Tensor:
    return rotvec_to_matrix(torch.stack([torch.zeros_like(angle), torch.zeros_like(angle), angle], -1))


def test_the_angle_grows_by_what_an_image_is_turned() -> None:
    rotation = random_rotations(50, generator=generator(0)).float()
    more = torch.linspace(-3, 3, 50)
    gained = in_plane_angle(about_z(more) @ rotation) - in_plane_angle(rotation)
    torch.testing.assert_close(
        torch.remainder(gained - more + math.pi, 2 * math.pi) - math.pi, 0 * more, atol=1e-4, rtol=0
    )


def test_the_angle_of_a_turn_about_an_axis_in_the_plane_is_none() -> None:
    axis = torch.randn(20, 2, generator=generator(1))
    rotation = rotvec_to_matrix(torch.cat([axis, torch.zeros(20, 1)], -1))
    torch.testing.assert_close(in_plane_angle(rotation), torch.zeros(20), atol=1e-5, rtol=0)


def test_quarter_turns_are_exact() -> None:
    lattice = Lattice.disc(BOX)
    images = torch.randn(3, 2, lattice.size, dtype=torch.complex64, generator=generator(2))
    images[..., 0] = images[..., 0].real.to(images.dtype)
    turned = turned_images(images, lattice, torch.full((3, 2), math.pi / 2))
    torch.testing.assert_close(turned, moved_images(images, lattice, QUARTER_TURN), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("band", [BOX // 2 - 1, 9])
def test_a_turned_image_is_that_of_the_turned_pose(band: int) -> None:
    """And so upright images of poses that differ by an in-plane turn are alike."""
    lattice = Lattice.disc(BOX, band)
    rotation, angle = random_rotations(6, generator=generator(3)).float(), torch.linspace(-2.5, 2.5, 6)
    images, wanted = slices(rotation, lattice), slices(about_z(angle) @ rotation, lattice)
    for found, expected in (
        (turned_images(images, lattice, angle), wanted),
        (
            turned_images(images, lattice, -in_plane_angle(rotation)),
            turned_images(wanted, lattice, -in_plane_angle(about_z(angle) @ rotation)),
        ),
    ):
        error = (found - expected).norm(dim=-1) / expected.norm(dim=-1)
        assert float(error.max()) < (0.03 if band > 9 else 0.06)  # rings around a sharp band limit reach beyond the box


def test_noise_keeps_its_power() -> None:
    lattice = Lattice.disc(BOX)
    images = torch.randn(40, lattice.size, dtype=torch.complex64, generator=generator(4))
    turned = turned_images(images, lattice, torch.linspace(-3, 3, 40))
    assert float(turned.abs().square().mean() / images.abs().square().mean()) > 0.9


def test_no_images_are_turned_to_none() -> None:
    lattice = Lattice.disc(BOX)
    assert turned_images(torch.zeros(0, 2, lattice.size) + 0j, lattice, torch.zeros(0, 2)).shape[:2] == (0, 2)


def test_a_lattice_off_the_pixels_is_refused() -> None:
    lattice = Lattice.disc(BOX)
    polar = Lattice(BOX, lattice.k * 0.9, lattice.weight, lattice.shell)
    with pytest.raises(ConfigError, match="pixels of a transform"):
        turned_images(torch.zeros(1, lattice.size, dtype=torch.complex64), polar, torch.zeros(1))
