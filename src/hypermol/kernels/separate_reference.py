"""The statistics of separate maps in plain torch: any device and precision. ``separate`` says what they are."""

import torch
from torch import Tensor

from hypermol.kernels.moments_reference import slice_points
from hypermol.kernels.slice_insert import insert_grid, slice_grid
from hypermol.shapes import Complex, Float


def slice_separate(
    grid: Complex[Tensor, "z y x c"],
    numerator: Complex[Tensor, "n p"],
    weight: Float[Tensor, "n p"],
    rotation: Float[Tensor, "n 3 3"],
    k: Float[Tensor, "p 2"],
    box: int,
    oversampling: int = 2,
) -> tuple[Float[Tensor, "n c"], Float[Tensor, "n c"]]:
    """See ``separate.slice_separate``."""
    slices = slice_grid(grid, slice_points(rotation, k), box, oversampling).to(torch.complex128)
    power = 2 * torch.einsum("npc,np->nc", slices.abs().square(), weight.double())
    overlap = 2 * torch.einsum("npc,np->nc", slices.conj(), numerator.to(slices.dtype)).real
    return power, overlap


def insert_separate(
    numerator: Complex[Tensor, "n p"],
    weight: Float[Tensor, "n p"],
    rotation: Float[Tensor, "n 3 3"],
    first: Float[Tensor, "n c"],
    second: Float[Tensor, "n c"],
    k: Float[Tensor, "p 2"],
    box: int,
    out: Float[Tensor, "z y x f"],
    oversampling: int = 2,
) -> None:
    """``separate.insert_separate`` of one half."""
    points, part = slice_points(rotation, k), (second != 0)[:, None]
    numbers = numerator[..., None] * (first[:, None] * part).to(numerator.dtype)
    weights = (weight[..., None] * second[:, None]) + 0j
    grid = insert_grid(torch.cat([numbers, weights.to(numbers.dtype)], -1), None, points, box, oversampling)[0]
    found, total = grid[..., : first.shape[1]], grid[..., first.shape[1] :].real
    out += torch.stack([found.real, found.imag, total], -1).flatten(-2).to(out.dtype)
