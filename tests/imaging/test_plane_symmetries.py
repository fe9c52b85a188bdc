"""Turns and reflections of packed images against those of the images themselves."""

import pytest
import torch

from hypermol.imaging import (
    HALF_TURN,
    QUARTER_TURN,
    REFLECTION,
    Lattice,
    images_to_packed,
    in_space,
    moved_images,
    packed_to_images,
)

BOX = 12


def moved_by_hand(image: torch.Tensor, matrix) -> torch.Tensor:
    """Every pixel r of a centred image put at M r, one by one."""
    out, half = torch.zeros_like(image), BOX // 2
    for y in range(1 - half, half):
        for x in range(1 - half, half):
            (a, b), (c, d) = matrix
            out[..., c * x + d * y + half, a * x + b * y + half] = image[..., y + half, x + half]
    return out


@pytest.mark.parametrize("matrix", [HALF_TURN, QUARTER_TURN, REFLECTION, ((0, 1), (1, 0)), ((1, 0), (0, 1))])
def test_moves_every_pixel(matrix) -> None:
    lattice = Lattice.disc(BOX)
    image = torch.zeros(3, BOX, BOX)
    image[:, 2:-1, 2:-1] = torch.randn(3, BOX - 3, BOX - 3, generator=torch.Generator().manual_seed(0))
    moved = packed_to_images(moved_images(images_to_packed(image, lattice), lattice, matrix), lattice)
    wanted = packed_to_images(images_to_packed(moved_by_hand(image, matrix), lattice), lattice)
    torch.testing.assert_close(moved, wanted, atol=1e-5, rtol=0)


def test_of_a_limited_band() -> None:
    lattice = Lattice.disc(BOX)
    image = torch.randn(BOX, BOX, generator=torch.Generator().manual_seed(1))
    packed = images_to_packed(image, lattice)
    small = lattice.limit(3)
    wanted = moved_images(packed, lattice, QUARTER_TURN)[: small.size]
    torch.testing.assert_close(moved_images(packed[: small.size], small, QUARTER_TURN), wanted)


def test_in_space() -> None:
    torch.testing.assert_close(in_space(QUARTER_TURN) @ torch.tensor([1.0, 2.0, 3.0]), torch.tensor([-2.0, 1.0, 3.0]))
    assert float(torch.linalg.det(in_space(REFLECTION, -1))) == 1.0
