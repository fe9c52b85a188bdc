"""Turning, shifting and mirroring a map through its transform, by cubic B-splines on an oversampled grid."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hypermol.errors import DataError
from hypermol.kernels import spline_values
from hypermol.kernels.box import require_even_box
from hypermol.shapes import Complex, Float

_AXES = (-3, -2, -1)


@dataclass(frozen=True)
class SplineTransform:
    """Spline coefficients [z, y, x] of a map's transform, 1/(2D) cycles/pixel apart, ``reach`` on either side of 0."""

    coefficients: Complex[Tensor, "s s s"]
    reach: int

    def mirrored(self) -> "SplineTransform":
        """Of the other hand: z → -z."""
        return SplineTransform(self.coefficients.flip(0), self.reach)

    def at(self, points: Float[Tensor, "p 3"]) -> Complex[Tensor, " p"]:
        """The transform at points k = (x, y, z) in units of 1/D."""
        return self.with_slope(points)[0]

    def with_slope(self, points: Float[Tensor, "p 3"]) -> tuple[Complex[Tensor, " p"], Complex[Tensor, "p 3"]]:
        """The transform at points, and its slope along x, y and z (per 1/D)."""
        value, slope = spline_values(self.coefficients, 2 * points + self.reach)
        return value, 2 * slope


def spline_transform(map_: Float[Tensor, "d d d"], band: float) -> SplineTransform:
    """Coefficients that reach to |k| D = ``band``. The map is padded twofold; dividing it by the spline's own
    transform, sinc⁴ per axis, makes the spline interpolate (Unser 1999). Raises DataError for an odd box."""
    box = require_even_box(map_.shape[-1], "map to align")
    reach = int(2 * band) + 3
    index = torch.arange(box, dtype=torch.float64, device=map_.device) - box // 2
    spread = (torch.sinc(index / (2 * box)) ** -4).to(map_)
    wave = torch.arange(-reach, reach + 1, device=map_.device)
    origin = torch.tensor([1, 1j, -1, -1j], device=map_.device)[torch.remainder(wave, 4)]  # the origin is D/2: i^u
    values = map_ * spread * spread[:, None] * spread[:, None, None]
    for axis in _AXES:
        shape = [1, 1, 1]
        shape[axis] = -1
        values = torch.fft.fft(values, n=2 * box, dim=axis).index_select(axis, torch.remainder(wave, 2 * box))
        values = values * origin.to(values.dtype).reshape(shape)
    return SplineTransform(values, reach)


def transform_map(
    map_: Float[Tensor, "d d d"], rotation: Float[Tensor, "3 3"], shift_px: Float[Tensor, "3"], mirrored: bool = False
) -> Float[Tensor, "d d d"]:
    """The map in another frame: density at r (pixels x, y, z from the centre) moves to R r + shift.

    mirrored: the map is mirrored first, z → -z. Exact for what lies inside the box's inscribed sphere, up to 1e-3 of
    the interpolation near its edge; frequencies beyond Nyquist (the corners of the transform) are removed. Raises
    DataError for an odd box or a rotation that is none.
    """
    matrix = rotation.to(map_)
    if not torch.allclose(matrix @ matrix.T, torch.eye(3).to(map_), atol=1e-4) or float(torch.linalg.det(matrix)) < 0:
        raise DataError(f"transform of a map: expected a rotation (orthogonal, determinant 1), found {rotation}")
    box = require_even_box(map_.shape[-1], "map to transform")
    spline = spline_transform(map_, box / 2)
    points, place = half_ball(box, box / 2 - 1e-6, map_.device)
    points = points.to(map_)
    values = (spline.mirrored() if mirrored else spline).at(points @ matrix)
    values = values * phases(points, shift_px.to(map_) + box // 2, box)
    half = values.new_zeros(box * box * (box // 2 + 1)).index_copy(0, place, values)
    return torch.fft.irfftn(half.reshape(box, box, -1), s=map_.shape)


def half_ball(box: int, radius: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """Points k D = (x, y, z), x ≥ 0, with |k| D ≤ radius (float64 [P, 3]), and their places in a flat rfftn."""
    axis = torch.fft.fftfreq(box, 1 / box, dtype=torch.float64, device=device)
    half = torch.arange(box // 2 + 1, dtype=torch.float64, device=device)
    z, y, x = torch.meshgrid(axis, axis, half, indexing="ij")
    grid = torch.stack([x, y, z], dim=-1).reshape(-1, 3)
    place = torch.nonzero(grid.square().sum(-1) <= radius**2).squeeze(-1)
    return grid[place], place


def phases(points: Float[Tensor, "p 3"], shift_px: Float[Tensor, "3"], box: int) -> Complex[Tensor, " p"]:
    """exp(-2πi k·t) of a shift (pixels x, y, z)."""
    angle = (-2 * torch.pi / box) * (points @ shift_px)
    return torch.polar(torch.ones_like(angle), angle)
