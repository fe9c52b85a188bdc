"""What small rigid motions change in a map."""

from __future__ import annotations

import torch
from torch import Tensor

from hypermol.shapes import Float


def rigid_fields(map_: Float[Tensor, "d d d"]) -> Float[Tensor, "f d d d"]:
    """How a map changes when it is turned about x, y, z (per radian), and shifted along x, y, z (per pixel); the map's
    axes are z, y, x, and it is turned about its middle voxel."""
    dz, dy, dx = (_derivative(map_, axis) for axis in range(3))
    z, y, x = (torch.arange(n).to(map_) - n // 2 for n in map_.shape)
    z, y, x = z[:, None, None], y[None, :, None], x
    turns = (z * dy - y * dz, x * dz - z * dx, y * dx - x * dy)
    return torch.stack([*turns, -dx, -dy, -dz])


def _derivative(map_: Tensor, axis: int) -> Tensor:
    """∂/∂x of the band-limited function that the voxels are samples of; differences of neighbours damp fine detail."""
    size = map_.shape[axis]
    k = torch.fft.fftfreq(size).to(map_)
    k[size // 2] = 0  # Nyquist's own derivative is not real
    shape = [-1 if a == axis else 1 for a in range(3)]
    changed: Tensor = torch.fft.ifft(2j * torch.pi * k.view(shape) * torch.fft.fft(map_, dim=axis), dim=axis)
    return changed.real
