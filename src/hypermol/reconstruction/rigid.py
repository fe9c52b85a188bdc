"""The gauge of poses and components: a rigid motion that comes with z may be in either, and belongs in the poses."""

from __future__ import annotations

import torch
from torch import Tensor

from hypermol.shapes import Float

ROUNDS = 20
SOFT = 0.1
"""Differences of less than this share of their root mean square count by their square, larger ones by themselves."""
DAMPING = 1e-6


def without_rigid_motion(maps: Float[Tensor, "c d d d"]) -> Float[Tensor, "c d d d"]:
    """Components less what a small turn or shift of the mean map explains of them: the poses take that up.

    Each component is fitted by the mean's three turns and three shifts with the sum of absolute differences (by
    reweighted squares), so that most of a molecule stays where it is, and not the average of a moving part and the
    rest. maps: the mean, then the components.
    """
    if len(maps) == 1:
        return maps
    fields = rigid_fields(maps[0]).flatten(1).double()
    left = torch.stack([_remainder(component.flatten().double(), fields) for component in maps[1:]])
    return torch.cat([maps[:1], left.reshape(maps[1:].shape).to(maps)])


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


def _remainder(component: Tensor, fields: Tensor) -> Tensor:
    weight, left = torch.ones_like(component), component
    for _ in range(ROUNDS):
        gram = (fields * weight) @ fields.T
        gram = gram + DAMPING * gram.diagonal().mean().clamp(min=1e-30) * torch.eye(len(gram)).to(gram)
        left = component - torch.linalg.solve(gram, (fields * weight) @ component) @ fields
        weight = 1 / (left.square() + (SOFT * component).square().mean()).sqrt().clamp(min=1e-30)
    return left
