"""Fourier shell correlation and the resolution read off it (DESIGN §2)."""

import math

import torch
from torch import Tensor

from hypermol.errors import DataError
from hypermol.imaging import fft3, ifft3
from hypermol.metrics.half_shells import HalfShells, half_shells
from hypermol.shapes import Float, Int


def shell_numbers(box: int, device: torch.device | str = "cpu") -> Int[Tensor, "d d d"]:
    """round(|k| D) of each point of the centred transform [z, y, x]."""
    axis = (torch.arange(box, device=device) - box // 2).double()
    return (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).sqrt().round().long()


def fsc(
    first: Float[Tensor, "*b d d d"], second: Float[Tensor, "*b d d d"], mask: Float[Tensor, "d d d"] | None = None
) -> Float[Tensor, "*b s"]:
    """Correlation of two maps (or of stacks of maps) per shell 0 … D/2 - 1; FSC[0] = 1 (Harauz & van Heel 1986).

    -1 to 1: 1 for maps equal up to a positive factor, 0 ± 1/√(points of the shell) for unrelated ones. ``mask``
    multiplies both. An empty shell gives 0. Raises DataError for maps of different or odd boxes.
    """
    if first.shape[-3:] != second.shape[-3:]:
        raise DataError(f"FSC: maps of {tuple(first.shape[-3:])} and {tuple(second.shape[-3:])} cannot be compared")
    if mask is not None:
        first, second = first * mask, second * mask
    shells = half_shells(first.shape[-1], first.device)
    return curve_of_totals(shells, shells.transform(first), shells.transform(second)).to(first.dtype)


def curve_of_totals(shells: HalfShells, first: Tensor, second: Tensor) -> Tensor:
    """FSC (float64) of half transforms [..., D, D, D/2] over given shells; 1 at shell 0, 0 where a shell is empty."""
    cross, a, b = (shells.total(_dot(*pair)) for pair in ((first, second), (first, first), (second, second)))
    return _correlation(cross, a, b)


def transform_fsc(first: Tensor, second: Tensor) -> Tensor:
    """``fsc`` of centred transforms [..., D, D, D]."""
    box = first.shape[-1]
    numbers = shell_numbers(box, first.device).flatten().clamp(max=box // 2)

    def total(values: Tensor) -> Tensor:
        flat = values.flatten(-3).double()
        return flat.new_zeros((*flat.shape[:-1], box // 2 + 1)).index_add(-1, numbers, flat)[..., :-1]

    curve = _correlation(total(_dot(first, second)), total(_dot(first, first)), total(_dot(second, second)))
    return curve.to(first.real.dtype)


def _dot(first: Tensor, second: Tensor) -> Tensor:
    """Re(a b*), point by point."""
    return first.real * second.real + first.imag * second.imag


def _correlation(cross: Tensor, first: Tensor, second: Tensor) -> Tensor:
    norm = (first * second).sqrt()
    curve = torch.where(norm > 0, cross / norm.clamp(min=torch.finfo(torch.float64).tiny), torch.zeros_like(cross))
    curve[..., 0] = 1.0
    return curve


def fsc_mean(curve: Float[Tensor, "*b s"]) -> Float[Tensor, "*b"]:
    """Area under an FSC as the mean over shells 1 … D/2 - 1; at best 1."""
    return curve[..., 1:].mean(-1)


def resolution(curve: Float[Tensor, " s"], pixel_size: float, threshold: float = 0.143) -> float:
    """Å at which the FSC first falls below ``threshold`` (linear between shells); Nyquist's shell if it never does.

    0.143 between independent half maps, 0.5 against a truth (Rosenthal & Henderson 2003). Infinite where shell 1 is
    already below. A shell that is not a number counts as below.
    """
    box = 2 * len(curve)
    values = [float(v) for v in curve]
    for shell in range(1, len(values)):
        if not values[shell] >= threshold:
            if shell == 1:
                return float("inf")
            if math.isnan(values[shell]):
                return box * pixel_size / (shell - 1)
            fall = values[shell - 1] - values[shell]
            crossing = shell - 1 + (values[shell - 1] - threshold) / fall
            return box * pixel_size / crossing
    return box * pixel_size / (len(values) - 1)


def phase_randomised(
    map_: Float[Tensor, "d d d"], first_shell: int, generator: torch.Generator | None = None
) -> Float[Tensor, "d d d"]:
    """The map with random phases from ``first_shell`` on, amplitudes kept (Chen et al. 2013)."""
    noise = torch.randn(map_.shape, generator=generator, dtype=torch.float64).to(map_.device)
    phases = fft3(noise)
    phases = phases / phases.abs().clamp(min=1e-30)
    transform = fft3(map_.double())
    beyond = shell_numbers(map_.shape[-1], map_.device) >= first_shell
    return ifft3(torch.where(beyond, transform.abs() * phases, transform)).real.to(map_.dtype)


def corrected_fsc(
    masked: Float[Tensor, " s"], randomised: Float[Tensor, " s"], first_shell: int
) -> Float[Tensor, " s"]:
    """(FSC_masked - FSC_random) / (1 - FSC_random) two shells beyond where the phases were randomised, masked before.

    Chen et al. 2013, eq. 4: what remains of the masked FSC once the correlation made by the mask is taken out.
    """
    corrected = (masked - randomised) / (1 - randomised).clamp(min=1e-6)
    shells = torch.arange(len(masked), device=masked.device)
    return torch.where(shells < first_shell + 2, masked, corrected)
