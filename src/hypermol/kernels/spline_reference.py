"""The cubic B-spline in plain torch: any device and precision. ``spline`` says what it is."""

import torch
from torch import Tensor

from hypermol.shapes import Complex, Float

_CHUNK = 1 << 15


def spline_values(
    coefficients: Complex[Tensor, "s s s"], places: Float[Tensor, "p 3"]
) -> tuple[Complex[Tensor, " p"], Complex[Tensor, "p 3"]]:
    """See ``spline.spline_values``."""
    values, slopes = zip(*(_values(coefficients, piece) for piece in places.split(_CHUNK)), strict=True)
    return torch.cat(values), torch.cat(slopes)


def _values(coefficients: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    base, size = places.floor(), len(coefficients)
    inside = ((base >= 1) & (base < size - 2)).all(-1)  # not where a place is not a number
    base = torch.where(inside[:, None], base, torch.ones_like(base))
    weight, steep = _spline(places - base)
    index = (base.long()[..., None] + torch.arange(-1, 3, device=places.device)).unbind(1)
    flat = (index[2][:, :, None, None] * size + index[1][:, None, :, None]) * size + index[0][:, None, None, :]
    taps = coefficients.flatten()[flat]
    x, y, z = weight.unbind(1)
    dx, dy, dz = steep.unbind(1)
    rows = (taps * x[:, None, None]).sum(-1)
    plane = (rows * y[:, None]).sum(-1)
    along_x = (((taps * dx[:, None, None]).sum(-1) * y[:, None]).sum(-1) * z).sum(-1)
    along_y = ((rows * dy[:, None]).sum(-1) * z).sum(-1)
    value, slope = (plane * z).sum(-1), torch.stack([along_x, along_y, (plane * dz).sum(-1)], dim=-1)
    value[~inside], slope[~inside] = torch.nan, torch.nan
    return value, slope


def _spline(fraction: Tensor) -> tuple[Tensor, Tensor]:
    """Cubic B-spline weights of the four nearest nodes [..., 4], and their slopes."""
    t, one = fraction, 1 - fraction
    weight = [one**3 / 6, 2 / 3 - t**2 * (2 - t) / 2, 2 / 3 - one**2 * (2 - one) / 2, t**3 / 6]
    slope = [-(one**2) / 2, t * (3 * t - 4) / 2, one * (4 - 3 * one) / 2, t**2 / 2]
    return torch.stack(weight, dim=-1), torch.stack(slope, dim=-1)
