"""The statistics of linear families in plain torch: any device and precision. ``moments`` says what they are."""

import torch
from torch import Tensor

from hypermol.kernels.slice_insert import insert_grid, slice_grid
from hypermol.shapes import Complex, Float


def slice_moments(
    grid: Complex[Tensor, "z y x c"],
    numerator: Complex[Tensor, "n p"],
    weight: Float[Tensor, "n p"],
    rotation: Float[Tensor, "n 3 3"],
    k: Float[Tensor, "p 2"],
    box: int,
    oversampling: int = 2,
) -> tuple[Float[Tensor, "n c c"], Float[Tensor, "n c"]]:
    """See ``moments.slice_moments``."""
    slices = slice_grid(grid, slice_points(rotation, k), box, oversampling).to(torch.complex128)
    gram = 2 * torch.einsum("npa,np,npb->nab", slices.conj(), weight.to(slices.dtype), slices).real
    projection = 2 * torch.einsum("npa,np->na", slices.conj(), numerator.to(slices.dtype)).real
    return gram, projection


def insert_moments(
    numerator: Complex[Tensor, "n p"],
    weight: Float[Tensor, "n p"],
    rotation: Float[Tensor, "n 3 3"],
    first: Float[Tensor, "n c"],
    second: Float[Tensor, "n m"],
    k: Float[Tensor, "p 2"],
    box: int,
    out: Float[Tensor, "z y x f"],
    oversampling: int = 2,
) -> None:
    """``moments.insert_moments`` of one half."""
    channels = first.shape[1]
    points = slice_points(rotation, k)
    values = torch.cat(
        [numerator[..., None] * first[:, None].to(numerator.dtype), (weight[..., None] * second[:, None]) + 0j], -1
    )
    grid = insert_grid(values, None, points, box, oversampling)[0]
    out[..., : 2 * channels] += torch.view_as_real(grid[..., :channels]).flatten(-2).to(out.dtype)
    out[..., 2 * channels :] += grid[..., channels:].real.to(out.dtype)


def solve_moments(
    sums: Float[Tensor, "z y x f"], prior: Float[Tensor, "r c"], squared_radius: Tensor
) -> Complex[Tensor, "z y x c"]:
    """See ``moments.solve_moments``; ``squared_radius``: Int64 [z, y, x] of each node, in grid steps."""
    channels, inside = prior.shape[1], squared_radius < len(prior)
    rows, columns = torch.tril_indices(channels, channels, device=sums.device)
    matrix = sums.new_zeros((*sums.shape[:3], channels, channels), dtype=torch.float64)
    matrix[..., rows, columns] = sums[..., 2 * channels :].double()
    matrix[..., columns, rows] = sums[..., 2 * channels :].double()
    matrix += torch.diag_embed(prior[squared_radius.clamp(max=len(prior) - 1)].double())
    wanted = inside & (matrix.diagonal(dim1=-2, dim2=-1).sum(-1) > 0)
    matrix[~wanted] = torch.eye(channels, dtype=matrix.dtype, device=sums.device)
    right = sums[..., : 2 * channels].double().unflatten(-1, (channels, 2))
    found = torch.linalg.solve(matrix, right) * wanted[..., None, None]
    return torch.view_as_complex(found.to(sums.dtype).contiguous())


def slice_points(rotation: Tensor, k: Tensor) -> Tensor:
    """Rᵀ(k, 0), [n, P, 3]."""
    return torch.einsum("nij,pi->npj", rotation[:, :2], k)
