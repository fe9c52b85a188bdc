"""Images made up as they are asked for: any number of particles, and never more of them in memory than a batch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator
from functools import cached_property
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from hypermol.imaging import Lattice, apply_optics, quaternion_to_matrix, shift_phase, slice_coordinates
from hypermol.imaging.ctf import CTF
from hypermol.kernels import slice_grid, volumes_to_grid
from hypermol.particles import Batch
from hypermol.particles.order import pass_order
from hypermol.shapes import Float

DEFOCUS, SPREAD = 15_000.0, 0.3
"""Median (Å) and deviation of its logarithm, as in the problems of cryoFIRE."""


@dataclasses.dataclass(frozen=True, eq=False)
class EndlessImages:
    """A source for a loop (``engine.Source``) and for ``build_context``: ``count`` particles of one image each.

    maps [S, D, D, D] of ``shares`` of the particles. Particle i is the same whenever it is asked for: its state, pose
    (uniform rotation, no shift), defocus and noise follow from i and ``seed`` alone.
    """

    maps: Float[Tensor, "s d d d"]
    shares: tuple[float, ...]
    count: int
    pixel_size: float
    snr: float
    seed: int = 0

    @property
    def box(self) -> int:
        """Pixels along an edge."""
        return int(self.maps.shape[-1])

    @cached_property
    def lattice(self) -> Lattice:
        """The Fourier pixels of the images."""
        return Lattice.disc(self.box)

    @property
    def particles(self) -> SimpleNamespace:
        """What ``build_context`` asks of a particle set."""
        return SimpleNamespace(count=self.count, images=self.count, has_poses=False)

    def image_count(self, particles: Tensor) -> int:
        """One image each."""
        return len(particles)

    def pass_order(self, seed: int, pass_index: int, shuffle: bool) -> Tensor:
        """As ``ImageSource.pass_order``."""
        return pass_order(self.count, seed, pass_index) if shuffle else torch.arange(self.count)

    def stream(self, groups: Iterable[Tensor]) -> Iterator[Batch]:
        """One batch per group of particles."""
        return (self.load(group) for group in groups)

    def load(self, particles: Tensor) -> Batch:
        """The images of some particles (Int64 [B])."""
        clean, ctf, rotation = self._clean(particles)
        variance = self._variance.expand(len(particles), 1, -1)
        noise = torch.view_as_complex(_normals(particles, self.seed, 8, 2 * self.lattice.size).unflatten(1, (-1, 2)))
        own = self.lattice.weight < 1  # points that are their own conjugates
        noise = torch.where(own, noise.real.to(noise), noise / math.sqrt(2))
        still = torch.zeros(len(particles), 2)
        return Batch(
            particle=particles, images=clean[:, None] + variance.sqrt() * noise[:, None],
            valid=torch.ones(len(particles), 1, dtype=torch.bool), ctf=ctf[:, None], variance=variance,
            rotation=rotation, shift=still, tilt=torch.eye(3).expand(len(particles), 1, 3, 3),
            image_shift=still[:, None], half=particles % 2, lattice=self.lattice, pixel_size=self.pixel_size,
        )  # fmt: skip

    def _clean(self, particles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        drawn = _normals(particles, self.seed, 0, 5)
        rotation = quaternion_to_matrix(drawn[:, :4])
        defocus = DEFOCUS * torch.exp(SPREAD * drawn[:, 4].double())
        ctf = CTF.create(defocus).evaluate(self.lattice.k.float(), self.pixel_size).float()
        slices = slice_grid(self._grid, slice_coordinates(self.lattice.k, rotation), self.box)
        state = torch.searchsorted(self._bounds, _uniforms(particles, self.seed, 7, 1)[:, 0])
        seen = slices.gather(-1, state[:, None, None].expand(-1, slices.shape[1], 1))[..., 0]
        return apply_optics(seen, ctf, shift_phase(self.lattice.k, torch.zeros(len(particles), 2))), ctf, rotation

    @cached_property
    def _bounds(self) -> Tensor:
        return torch.tensor(self.shares, dtype=torch.float64).cumsum(0)[:-1]

    @cached_property
    def _grid(self) -> Tensor:
        return volumes_to_grid(self.maps.float())

    @cached_property
    def _variance(self) -> Float[Tensor, " p"]:
        """White, such that a thousand clean images have ``snr`` times its power."""
        clean = self._clean(torch.arange(min(self.count, 1000)))[0]
        power = float((2 * self.lattice.weight * clean.abs().square()).sum(1).mean()) / self.box**2
        return torch.full((self.lattice.size,), power / self.snr)


def _uniforms(particles: Tensor, seed: int, stream: int, count: int) -> Float[Tensor, "b n"]:
    """In (0, 1), a function of particle, seed and stream alone (splitmix64: Steele, Lea & Flood 2014)."""
    with np.errstate(over="ignore"):
        key = particles.numpy().astype(np.uint64)[:, None] * np.uint64(0x9E3779B97F4A7C15)
        place = np.arange(count, dtype=np.uint64) + np.uint64((seed << 40) + (stream << 32))
        x = _mixed(_mixed(key) + place[None] * np.uint64(0xD1342543DE82EF95))
    return torch.from_numpy(((x >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53)


def _mixed(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


def _normals(particles: Tensor, seed: int, stream: int, count: int) -> Float[Tensor, "b n"]:
    """Standard normal, by Box and Muller."""
    half = -(-count // 2)
    first, second = _uniforms(particles, seed, stream, 2 * half).tensor_split([half], 1)
    radius, angle = (-2 * first.log()).sqrt().float(), (2 * math.pi * second).float()
    return torch.cat([radius * angle.cos(), radius * angle.sin()], 1)[:, :count].contiguous()
