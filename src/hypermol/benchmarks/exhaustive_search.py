"""Every rotation of the finest grid at every shift of one pixel: slow, without any pruning, the ruler of the search.

In-plane rotations of a direction are compared all at once: images and slices on rings, correlated along the angle by
FFT. That only names candidates: the likeliest are scored again as any pose is, their shifts climbing to the maximum.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import torch
from torch import Tensor

from hypermol.imaging import radial_mean, rotations_at, shift_phase, slice_coordinates
from hypermol.imaging.so3_grid import in_plane_count
from hypermol.kernels import slice_grid
from hypermol.poses import ScoredImages, shift_grid
from hypermol.shapes import Complex, Float, Int

DIRECTIONS_AT_ONCE = 16
CLIMBS = 3


def exhaustive_search(
    images: ScoredImages,
    grid: Complex[Tensor, "z y x 1"],
    order: int,
    reach_px: int,
    rescored: int = 200,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Float[Tensor, " b"]:
    """Log-likelihood of the best pose of each particle (of one image): all rotations of ``order`` × all whole shifts
    within ± ``reach_px``; of the ``rescored`` likeliest the shifts are refined."""
    rings, shifts = _Rings.of(images, in_plane_count(order)), shift_grid(reach_px, 1.0, images.weight)
    seen, power = rings.images(images, shifts), rings.weights(images)
    count, total = len(power), 12 * 4**order
    best = torch.full((count, rescored), -math.inf)
    cell, at = torch.zeros(count, rescored, dtype=torch.long), torch.zeros(count, rescored, dtype=torch.long)
    for first in range(0, total, DIRECTIONS_AT_ONCE):
        direction = torch.arange(first, min(first + DIRECTIONS_AT_ONCE, total))
        score, shift = rings.every_turn(seen, power, grid, direction, order)
        turns = (direction[:, None] * rings.count + torch.arange(rings.count)).flatten().expand(count, -1)
        best, rows = torch.cat([best, score], 1).topk(rescored, dim=1)
        cell, at = torch.cat([cell, turns], 1).gather(1, rows), torch.cat([at, shift], 1).gather(1, rows)
        progress(first + len(direction), total)
    rotation, moved = rotations_at(cell, order).to(images.weight), shifts[at]
    for _ in range(CLIMBS):
        _, moved = images.log_likelihood(grid, rotation, moved, 0.5)
    return images.log_likelihood(grid, rotation, moved)[0].amax(1)


@dataclasses.dataclass(frozen=True, eq=False)
class _Rings:
    """Points on circles of 1 … L shells, ``count`` on each, [L·count, 2] cycles/pixel."""

    k: Float[Tensor, "p 2"]
    shells: int
    count: int
    box: int

    @staticmethod
    def of(images: ScoredImages, count: int) -> _Rings:
        shells, box = images.lattice.band_limit, images.lattice.box
        angle = torch.arange(count, dtype=torch.float64) * (2 * math.pi / count)
        around = torch.stack([torch.cos(angle), torch.sin(angle)], -1)
        radius = torch.arange(1, shells + 1, dtype=torch.float64) / box
        return _Rings((radius[:, None, None] * around).flatten(0, 1).to(images.weight), shells, count, box)

    @property
    def share(self) -> Float[Tensor, " r"]:
        """Of the plane, in lattice points, that one point of each ring stands for."""
        return torch.arange(1, self.shells + 1) * (2 * math.pi / self.count)

    def images(self, images: ScoredImages, shifts: Float[Tensor, "t 2"]) -> Complex[Tensor, "m bt r"]:
        """Numerators moved back by each shift, on the rings: coefficients along the angle, times the ring's share of
        the plane."""
        packed = images.numerator[:, 0]
        pixels = torch.fft.ifftshift(images.lattice.unpack(packed), dim=(-2, -1))
        real = torch.fft.fftshift(torch.fft.ifft2(pixels).real, dim=(-2, -1)).flatten(1)
        axis = torch.arange(self.box) - self.box // 2
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        place = torch.stack([x.flatten(), y.flatten()], -1).to(self.k)
        on_rings = torch.cat([real.to(torch.complex64) @ _waves(part, place) for part in self.k.split(1024)], 1)
        moved = on_rings[:, None] * shift_phase(self.k, shifts).conj()
        return self._along(moved.flatten(0, 1)).permute(2, 0, 1).contiguous() * self.share

    def weights(self, images: ScoredImages) -> Float[Tensor, "b r"]:
        """Mean C²/σ² on each ring, times the ring's share of the plane."""
        rows = [radial_mean(row.double(), images.lattice) for row in images.weight[:, 0]]
        return torch.stack(rows)[:, 1 : self.shells + 1].float() * self.share

    def every_turn(
        self, seen: Tensor, weight: Tensor, grid: Tensor, direction: Int[Tensor, " d"], order: int
    ) -> tuple[Float[Tensor, "b dm"], Int[Tensor, "b dm"]]:
        """Best score of each image over the shifts, at each turn about each direction; and which shift."""
        first = rotations_at(direction * self.count, order).to(self.k)
        slices = slice_grid(grid, slice_coordinates(self.k, first), self.box)[..., 0]
        turned = self._along(slices).permute(2, 1, 0)
        products = seen.conj() @ turned  # [m, images × shifts, directions]
        overlap = torch.fft.irfft(products, n=self.count, dim=0).unflatten(1, (len(weight), -1))
        best, shift = overlap.max(2)
        power = weight @ slices.abs().square().unflatten(1, (self.shells, self.count)).sum(-1).T
        score = best.permute(1, 2, 0) - power[:, :, None] / 2
        return score.flatten(1), shift.permute(1, 2, 0).flatten(1)

    def _along(self, values: Complex[Tensor, "n p"]) -> Complex[Tensor, "n r m"]:
        """Coefficients along the angle. Opposite points are conjugates, so that the real part has only even orders and
        the imaginary part only odd ones: their sum is real and says both."""
        rings = values.unflatten(1, (self.shells, self.count))
        return torch.fft.rfft(rings.real + rings.imag, dim=-1)


def _waves(k: Float[Tensor, "p 2"], place: Float[Tensor, "q 2"]) -> Complex[Tensor, "q p"]:
    phase = -2 * math.pi * (place.double() @ k.double().T)
    return torch.polar(torch.ones_like(phase), phase).to(torch.complex64)
