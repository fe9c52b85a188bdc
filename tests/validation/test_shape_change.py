"""What is taken out of a change of the map, and what is left, on blobs that are moved by hand."""

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from hypermol.imaging import fft3, ifft3
from hypermol.metrics import shell_numbers
from hypermol.simulation.rasterise import rasterise_gaussians
from hypermol.validation import shape_change

BOX, PIXEL = 24, 4.0
BLOBS = np.random.default_rng(3).normal(size=(30, 3)) * [10, 8, 6]


def drawn(positions: np.ndarray) -> torch.Tensor:
    """The map of Gaussians at these places (Å)."""
    return rasterise_gaussians(positions[None], np.ones((1, len(positions))), BOX, PIXEL, 6.0).float()


def left(change: torch.Tensor) -> float:
    """The share of a change's power that is a change of shape."""
    rest = shape_change(change[None], drawn(BLOBS))[0]
    return float(rest.square().sum() / change.square().sum())


def test_contrast_and_filters_are_no_motion():
    map_ = drawn(BLOBS)
    filtered = ifft3(fft3(map_) * torch.exp(-0.1 * shell_numbers(BOX).float())).real
    assert left(map_) < 1e-4
    assert left(filtered - 0.3 * map_) < 1e-3


def test_rigid_moves_are_no_motion():
    step = np.array([0.4, -0.3, 0.2])
    shift = drawn(BLOBS + step) - drawn(BLOBS - step)
    turn = Rotation.from_rotvec([0.5, -0.8, 0.6], degrees=True)
    turned = drawn(turn.apply(BLOBS)) - drawn(turn.inv().apply(BLOBS))
    assert left(shift) < 1e-2
    assert left(turned) < 1e-2


def test_a_round_change_is_no_motion():
    axis = (torch.arange(BOX) - BOX // 2).float()
    radius = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2
    assert left(torch.exp(-radius / 20) - 0.2 * torch.exp(-radius / 60)) < 5e-3


def test_a_moving_part_is_motion():
    """A third of the blobs moves; the shift and turn of the whole that are nearest to it are not counted."""
    moving = BLOBS[:, 0] > 5
    there, back = BLOBS.copy(), BLOBS.copy()
    there[moving] += [0, 5, 0]
    back[moving] -= [0, 5, 0]
    assert left(drawn(there) - drawn(back)) > 0.3


def test_noise_is_left_alone():
    change = torch.randn(BOX, BOX, BOX, generator=torch.Generator().manual_seed(0))
    assert left(change) > 0.95
