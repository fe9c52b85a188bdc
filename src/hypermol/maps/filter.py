"""Filters of real-space maps by radius in Fourier space. Resolutions and B-factors in Å and Å²."""

import torch
from torch import Tensor

from hypermol.errors import ConfigError
from hypermol.kernels.box import require_even_box
from hypermol.shapes import Float

_EDGE_SHELLS = 2


def low_pass(
    map_: Float[Tensor, "d d d"], pixel_size: float, resolution: float, edge_shells: int = _EDGE_SHELLS
) -> Float[Tensor, "d d d"]:
    """Remove what is finer than ``resolution`` (Å), by a raised cosine ``edge_shells`` Fourier shells wide
    centred on the nearest shell, as RELION does. A resolution at or beyond Nyquist changes little.

    Raises ConfigError for a resolution or pixel size that is not positive, DataError for an odd box.
    """
    _require_positive(pixel_size=pixel_size, resolution=resolution)
    shell = round(map_.shape[-1] * pixel_size / resolution)
    low = max(0.0, shell - edge_shells / 2)
    width = max(shell + edge_shells / 2 - low, 1e-6)
    ramp = ((_radius(map_) * map_.shape[-1] - low) / width).clamp(0, 1)
    return filtered(map_, 0.5 + 0.5 * torch.cos(torch.pi * ramp))


def apply_b_factor(map_: Float[Tensor, "d d d"], pixel_size: float, b: float) -> Float[Tensor, "d d d"]:
    """Multiply the transform by exp(-b s²/4), s in Å⁻¹: positive ``b`` (Å²) damps, negative sharpens.

    Raises ConfigError for a pixel size that is not positive, DataError for an odd box.
    """
    _require_positive(pixel_size=pixel_size)
    return filtered(map_, torch.exp(-0.25 * b * (_radius(map_) / pixel_size) ** 2))


def filtered(map_: Float[Tensor, "d d d"], gain: Float[Tensor, "d d h"]) -> Float[Tensor, "d d d"]:
    """Multiply the transform of a map by a real, symmetric gain given on the rfftn layout [D, D, D/2 + 1]."""
    transform = torch.fft.rfftn(map_)
    return torch.fft.irfftn(transform * gain.to(map_), s=map_.shape)


def _radius(map_: Tensor) -> Tensor:
    """|k| in cycles/pixel on the rfftn layout, float64."""
    box = require_even_box(map_.shape[-1], "map")
    axis = torch.fft.fftfreq(box, dtype=torch.float64, device=map_.device)
    half = torch.fft.rfftfreq(box, dtype=torch.float64, device=map_.device)
    return torch.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + half**2)


def _require_positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ConfigError(f"{name.replace('_', ' ')}: expected a positive number of Å, found {value}")
