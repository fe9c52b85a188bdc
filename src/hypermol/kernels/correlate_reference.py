"""Candidate poses in plain torch: any device and precision. ``correlate`` says what the numbers are."""

import math

import torch
from torch import Tensor

from hypermol.kernels.moments_reference import slice_points
from hypermol.kernels.slice_insert import slice_grid
from hypermol.shapes import Complex, Float


def correlate_poses(
    grid: Complex[Tensor, "z y x 1"],
    numerator: Complex[Tensor, "n p"],
    weight: Float[Tensor, "n p"],
    rotation: Float[Tensor, "n h 3 3"],
    shift: Float[Tensor, "n h 2"],
    k: Float[Tensor, "p 2"],
    size: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """overlap [n, h], gradient [n, h, 2], information [n, h, 3], power [n, h]; ``size``: nodes per cycle/pixel."""
    own = grid.shape[0]  # coordinates in its own steps: a cut grid has fewer of them
    points = slice_points(rotation.flatten(0, 1), k) * (size / own)
    slices = slice_grid(grid, points, own // 2, 2)[..., 0].unflatten(0, rotation.shape[:2]).to(torch.complex128)
    wave = 2 * math.pi * k.double()
    phase = torch.einsum("nha,pa->nhp", shift.double(), wave)
    product = numerator.to(slices.dtype).conj()[:, None] * slices * torch.polar(torch.ones_like(phase), -phase)
    second = torch.stack([wave[:, 0] ** 2, wave[:, 0] * wave[:, 1], wave[:, 1] ** 2], -1)
    expected = slices.abs().square() * weight.double()[:, None]
    return 2 * product.real.sum(-1), 2 * product.imag @ wave, 2 * expected @ second, 2 * expected.sum(-1)
