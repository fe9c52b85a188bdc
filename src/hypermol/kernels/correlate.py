"""Images against slices of one volume at many candidate poses: what a search over poses asks, over and over."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hypermol.errors import ConfigError
from hypermol.kernels import correlate_reference as reference
from hypermol.kernels.checks import check_images
from hypermol.kernels.compiled import as_array, compiled_runs, loops, on_gpu, triton_runs
from hypermol.shapes import Complex, Float


@dataclass(frozen=True, eq=False)
class Correlation:
    """n images with H poses each, float64: log p(X | pose, contrast a) = const + a overlap - a² power/2.

    overlap [n, H] = 2 Σ_p Re(numerator* e^{-2πi k·t} s); gradient [n, H, 2] is its derivative by the shift, per pixel;
    information [n, H, 3] (xx, xy, yy) = 2 Σ_p (2π)² k kᵀ weight |s|², what its second derivative is expected to be at
    the truth, but for the sign; power [n, H] = 2 Σ_p weight |s|².
    """

    overlap: Float[Tensor, "n h"]
    gradient: Float[Tensor, "n h 2"]
    information: Float[Tensor, "n h 3"]
    power: Float[Tensor, "n h"]


def correlate_poses(
    grid: Complex[Tensor, "z y x 1"],
    numerator: Complex[Tensor, "n p"],
    weight: Float[Tensor, "n p"],
    rotation: Float[Tensor, "n h 3 3"],
    shift: Float[Tensor, "n h 2"],
    k: Float[Tensor, "p 2"],
    box: int,
    oversampling: int = 2,
) -> Correlation:
    """``rotation`` and ``shift`` (pixels) of each image's candidates; numerator C X/σ² and weight C²/σ², with ½ where a
    point is its own conjugate; k [P, 2] (cycles/pixel) whole pixels of the transform. Not differentiable.

    The grid may be smaller than the box asks, of the same spacing: a cut around the origin that holds the band.
    Raises ConfigError where shapes disagree, or the grid does not hold the band.
    """
    check_images(numerator, weight, rotation, k)
    if rotation.shape[1:] != (shift.shape[1], 3, 3) or len(shift) != len(rotation):
        raise ConfigError(f"poses: {tuple(rotation.shape)} rotations and {tuple(shift.shape)} shifts do not agree")
    if len(k) and oversampling * box * float(k.norm(dim=1).max()) > grid.shape[0] // 2 - 1:
        raise ConfigError(f"a grid of {grid.shape[0]} nodes does not hold this band of a box of {box} px")
    if triton_runs(grid, numerator, weight, rotation, shift, k):
        return _of(on_gpu("correlate").correlate_poses(grid, numerator, weight, rotation, shift, k, oversampling * box))
    if not compiled_runs(grid, numerator, weight, rotation, shift, k):
        found = reference.correlate_poses(grid, numerator, weight, rotation, shift, k, oversampling * box)
        return Correlation(*found)
    out = torch.empty(*shift.shape[:2], 7, dtype=torch.float64)
    whole = torch.round(k.double() * box).long()
    arrays = [as_array(t) for t in (torch.view_as_real(grid[..., 0]), numerator, weight, rotation, shift, whole, k)]
    size = arrays[-1].dtype.type(oversampling * box)
    loops("correlate").correlate_poses(*arrays, size, box, out.numpy())
    return _of(out)


def _of(out: Float[Tensor, "n h 7"]) -> Correlation:
    return Correlation(out[..., 0], out[..., 1:3], out[..., 3:6], out[..., 6])
