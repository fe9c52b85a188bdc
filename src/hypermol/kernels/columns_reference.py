"""Columns of the covariance of volumes in plain torch: any device and precision. ``columns`` says what they are."""

import torch
from torch import Tensor

from hypermol.kernels.moments_reference import slice_points
from hypermol.kernels.slice_insert import insert_grid
from hypermol.shapes import Bool, Complex, Float, Int


def insert_columns(
    numerator: Complex[Tensor, "n p"],
    weight: Float[Tensor, "n p"],
    rotation: Float[Tensor, "n 3 3"],
    half: Int[Tensor, " n"],
    places: Float[Tensor, "m 3"],
    width: float,
    k: Float[Tensor, "p 2"],
    box: int,
    out: Float[Tensor, "h m z y x f"],
    oversampling: int = 1,
) -> None:
    """See ``columns.insert_columns``."""
    pixels = torch.round(k.double() * box)
    points = slice_points(rotation, k)
    for own in range(len(out)):
        for column, place in enumerate(places):
            kernel, mirrored = cone(pixels, rotation, place, width)
            some = (half == own) & (kernel > 0).any(1)
            if not bool(some.any()):
                continue
            images, share, flip = numerator[some], kernel[some].to(weight), mirrored[some]
            near = (share * torch.where(flip, images.conj(), images)).sum(1, keepdim=True)
            noise = share * weight[some] / 2
            first = images * near.real - noise
            second = images * near.imag + torch.where(flip, 1j, -1j) * noise
            total = weight[some] * (share * weight[some]).sum(1, keepdim=True)
            values = torch.stack([first, second, total + 0j], -1)
            grid = insert_grid(values, None, points[some], box, oversampling)[0]
            out[own, column, ..., :4] += torch.view_as_real(grid[..., :2]).flatten(-2).to(out.dtype)
            out[own, column, ..., 4] += grid[..., 2].real.to(out.dtype)


def cone(
    pixels: Float[Tensor, "p 2"], rotation: Float[Tensor, "n 3 3"], place: Float[Tensor, " 3"], width: float
) -> tuple[Float[Tensor, "n p"], Bool[Tensor, "n p"]]:
    """K(p) = (1 - distance / width)₊ of the points of each slice, or of their conjugates, from ξ; and where it is the
    conjugate that is near. At most one of the two is, as ξ is farther than ``width`` from the origin."""
    flat = torch.einsum("nij,j->ni", rotation.double(), place.double())
    above = flat[:, 2:].square()
    apart = [((sign * pixels - flat[:, None, :2]).square().sum(-1) + above).sqrt() for sign in (1, -1)]
    plain, conjugate = ((1 - distance / width).clamp(min=0) for distance in apart)
    return plain + conjugate, conjugate > 0


def pixel_table(pixels: Int[Tensor, "p 2"]) -> Int[Tensor, "y x"]:
    """Row of the pixel (x ≥ 0, y) in a list of them, at [y + R, x]; -1 where there is none."""
    largest = int(pixels.abs().max())
    table = torch.full((2 * largest + 1, largest + 1), -1, dtype=torch.int64)
    table[pixels[:, 1] + largest, pixels[:, 0]] = torch.arange(len(pixels))
    return table
