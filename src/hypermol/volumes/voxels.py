"""Explicit voxel grids that are learned: one map, or a mean and principal maps that z weighs (a low-rank decoder)."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from hypermol.kernels import slice_grid, sliced_grid_to_volumes, volumes_to_grid
from hypermol.shapes import Complex, Float
from hypermol.specs import BuildContext, Dimension, Positive, register
from hypermol.volumes.base import Volume, half_ball

OVERSAMPLING = 2
START = 0.01
"""Amplitude of the random start as a share of the signal's."""


@register("volume", "voxels")
@dataclasses.dataclass(frozen=True)
class VoxelGrid:
    """V(k, z) = M_0(k) + Σ z_i M_i(k), each M a grid of numbers that are parameters, read by trilinear interpolation.

    real: densities inside a ball, as in CryoPoseNet (Nashed et al. 2021), one FFT per step. hartley: the transform
    itself, on a grid oversampled twice, no FFT.
    """

    z_dim: Annotated[Dimension, "dimensions of z, each with a map of its own; 0: one map for all"] = 0
    space: Annotated[Literal["real", "hartley"], "what the numbers are"] = "real"
    step: Annotated[
        Positive,
        "how far a learning rate of 1 moves a number, in typical sizes of the molecule's: a grid learns faster",
    ] = 20.0
    principal: Annotated[
        Positive,
        "typical size of a principal map, as a share of the mean's: its numbers move so much less far",
    ] = 0.2
    radius: Annotated[Positive, "of the ball that holds the molecule (real), as a share of the box"] = 0.45

    @property
    def words(self) -> str:
        """In words, for the table of methods."""
        return "voxel grid" if self.z_dim == 0 else "mean and principal voxel grids"

    def build(self, context: BuildContext) -> VoxelVolume:
        """The grids, near 0 at random."""
        return VoxelVolume(self, context)


class VoxelVolume(Volume):
    """The working part of a ``VoxelGrid``. ``numbers``: [1 + d, …], in units of ``step`` × each map's size."""

    inside: Tensor
    unit: Tensor

    def __init__(self, spec: VoxelGrid, context: BuildContext) -> None:
        super().__init__()
        self.box, self.z_dim, self.space = context.box, spec.z_dim, spec.space
        real, box = spec.space == "real", context.box
        ball = _ball(box, spec.radius)
        signal = context.signal_amplitude.double()
        k, _ = half_ball(box)
        shell = (k.norm(dim=-1) * box).round().long().clamp(max=len(signal) - 1)
        power = float(signal[shell].square().mean())  # per point of the ball
        density = (2 * power * len(k) / box**3 / float(ball.sum())) ** 0.5  # Parseval: Σ v² = Σ |V|² / D³
        start = START * density * torch.randn(1 + spec.z_dim, box, box, box) * ball
        self.register_buffer("inside", ball if real else torch.ones(()))
        size = torch.tensor([1.0] + [spec.principal] * spec.z_dim)[:, None, None, None]
        self.register_buffer("unit", spec.step * (density if real else power**0.5) * size)
        self.numbers = nn.Parameter((start if real else hartley_grid(start)) * size / self.unit)

    def values(self, k: Float[Tensor, "n p 3"], z: Float[Tensor, "n d"] | None) -> Complex[Tensor, "n p"]:
        """V(k, z); see Volume. The slices of each grid are weighted by z, so that grids are read once for all z."""
        slices = slice_grid(self.grid(), k, self.box, OVERSAMPLING)
        if z is None:
            return slices[..., 0]
        return slices[..., 0] + (slices[..., 1:] * z[:, None]).sum(-1)

    def grid(self) -> Complex[Tensor, "z y x c"]:
        """The Fourier half grid of M_0, M_1, …"""
        numbers = self.numbers * self.unit
        if self.space == "real":
            return volumes_to_grid(numbers * self.inside, OVERSAMPLING)
        # F(k) = [H(k) + H(-k)]/2 - i [H(k) - H(-k)]/2, so that F(-k) = F(k)* whatever the numbers are
        middle, opposite = self.box * OVERSAMPLING // 2, numbers.flip(1, 2, 3).roll((1, 1, 1), (1, 2, 3))
        plus, minus = numbers[..., middle:], opposite[..., middle:]
        half = torch.complex((plus + minus) / 2, (minus - plus) / 2)
        return nn.functional.pad(half, (0, 1)).movedim(0, -1)  # no slice reaches the last column

    @torch.no_grad()
    def maps(self, z: Float[Tensor, "n d"] | None, chunk: int = 32768) -> Float[Tensor, "m box box box"]:
        """The maps whose projections the slices are; see Volume."""
        if self.space == "real":
            parts = self.numbers * self.unit * self.inside
        else:
            parts = sliced_grid_to_volumes(self.grid(), self.box)
        if z is None:
            return parts[:1]
        return parts[0] + torch.tensordot(z.to(parts), parts[1:], 1)


def hartley_grid(maps: Float[Tensor, "c d d d"]) -> Float[Tensor, "c o o o"]:
    """H = Re F - Im F of maps on a grid oversampled twice, made for trilinear interpolation."""
    half = volumes_to_grid(maps, OVERSAMPLING).movedim(-1, 0)[..., :-1]  # x = 0 … D - 1
    positive, negative = half.real - half.imag, half.real + half.imag
    opposite = negative.flip(1, 2).roll((1, 1), (1, 2)).flip(3)  # x = 1 - D … 0
    edge = opposite.new_zeros(*opposite.shape[:3], 1)
    return torch.cat([edge, opposite[..., :-1], positive], -1)


def _ball(box: int, radius: float) -> Float[Tensor, "d d d"]:
    """1 within ``radius`` × box of the origin."""
    axis = torch.arange(box) - box // 2
    square = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2
    return (square <= (radius * box) ** 2).float()
