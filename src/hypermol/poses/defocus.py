"""The defocus of a particle whose pose is known: a search along one line, then Newton's steps to its top.

At a defocus changed by δ the phase of the CTF, γ, becomes γ + φ with φ = πλs²δ, which is the same all along a ring of
Fourier space. With m = Re(X* e^{-2πi k·t} V)/σ², q = |V|²/σ² and E the envelope,

    overlap(δ) = Σ 2 m E sin(γ + φ)  = Σ_rings A cos φ + B sin φ
    power(δ)   = Σ 2 q E² sin²(γ + φ) = Σ_rings D - C cos 2φ + S sin 2φ

so that six sums per ring, made once, give the likelihood of every δ exactly, whatever the astigmatism.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hypermol.errors import ConfigError
from hypermol.imaging import Lattice, wavelength
from hypermol.poses.contrast import contrast_posterior, log_evidence
from hypermol.shapes import Float

if TYPE_CHECKING:
    from hypermol.particles import Batch

STEPS_PER_CYCLE = 8
"""Of the search, per cycle of the fastest ring: its power runs at twice that."""
FEWEST_STEPS = 8
NEWTON = 8


@dataclasses.dataclass(frozen=True, eq=False)
class DefocusSums:
    """Sums per ring of B particles over all their images, float64 [B, R]: of the overlap (``cosine``, ``sine``) and of
    the power (``level`` [B], ``double_cosine``, ``double_sine``); rate [R]: πλs² of each ring, radians per Å."""

    rate: Float[Tensor, " r"]
    cosine: Float[Tensor, "b r"]
    sine: Float[Tensor, "b r"]
    level: Float[Tensor, " b"]
    double_cosine: Float[Tensor, "b r"]
    double_sine: Float[Tensor, "b r"]

    @staticmethod
    def of(batch: Batch, match: Float[Tensor, "b j p"], power: Float[Tensor, "b j p"]) -> DefocusSums:
        """From what ``compare_slices`` gave for a batch. Raises ConfigError where its images carry no CTF."""
        if batch.optics is None:
            raise ConfigError("these images carry no CTF (rlnDefocusU …, ctf/df1_A …): there is no defocus to refine")
        optics, lattice = batch.optics, batch.lattice
        phase, envelope = (function(lattice.k, batch.pixel_size) for function in (optics.phase, optics.envelope))
        sine, cosine = phase.sin() * envelope, phase.cos() * envelope
        rings = _Rings.of(lattice, wavelength(optics.voltage_kv), batch.pixel_size)
        # 2 q sin² = q (sin² + cos²) - q (cos² - sin²)
        parts = (2 * match * sine, 2 * match * cosine, power * (cosine**2 - sine**2), 2 * power * sine * cosine)
        level = (power * (sine**2 + cosine**2)).sum((1, 2))
        a, b, c, s = (rings.sums(part) for part in parts)
        return DefocusSums(rings.rate, a, b, level, c, s)

    def at(self, change: Float[Tensor, " b"]) -> tuple[Float[Tensor, "3 b"], Float[Tensor, "3 b"]]:
        """Overlap and power of one change (Å) per particle, each with its first and second derivative."""
        phase = change.double()[:, None] * self.rate
        cosine, sine = phase.cos(), phase.sin()
        overlap = self.cosine * cosine + self.sine * sine
        slope = self.rate * (self.sine * cosine - self.cosine * sine)
        bend = -self.rate.square() * overlap
        twice, across = 2 * cosine * cosine - 1, 2 * sine * cosine
        varying = self.double_sine * across - self.double_cosine * twice
        power_slope = 2 * self.rate * (self.double_cosine * across + self.double_sine * twice)
        power_bend = -4 * self.rate.square() * varying
        power = torch.stack([self.level + varying.sum(1), power_slope.sum(1), power_bend.sum(1)])
        return torch.stack([overlap.sum(1), slope.sum(1), bend.sum(1)]), power

    def along(self, changes: Float[Tensor, " g"]) -> tuple[Float[Tensor, "b g"], Float[Tensor, "b g"]]:
        """Overlap and power of every particle at each of the same changes (Å)."""
        phase = self.rate[:, None] * changes.double()
        cosine, sine = phase.cos(), phase.sin()
        overlap = self.cosine @ cosine + self.sine @ sine
        power = self.double_sine @ (2 * sine * cosine) - self.double_cosine @ (2 * cosine * cosine - 1)
        return overlap, self.level[:, None] + power


@dataclasses.dataclass(frozen=True, eq=False)
class FoundDefocus:
    """change [B] (Å, added to both U and V), its standard error [B] from the curvature of the posterior; overlap and
    power [B] there."""

    change: Float[Tensor, " b"]
    error: Float[Tensor, " b"]
    overlap: Float[Tensor, " b"]
    power: Float[Tensor, " b"]


def find_defocus(sums: DefocusSums, reach: float, variance: float, contrast_variance: float = 0.0) -> FoundDefocus:
    """The most probable change of each particle's defocus within ± ``reach`` Å under the prior N(0, ``variance``), the
    contrast integrated out under N(1, ``contrast_variance``) (0: it is 1)."""
    changes = _line(float(sums.rate.max()), reach).to(sums.rate)
    step = float(changes[1] - changes[0])

    def value(overlap: Tensor, power: Tensor, change: Tensor) -> Tensor:
        return log_evidence(overlap, power, contrast_variance) - change.square() / (2 * variance)

    along = value(*sums.along(changes), changes)
    change = changes[along.argmax(1)]
    overlap, power = sums.at(change)
    best = value(overlap[0], power[0], change)
    for turn in range(NEWTON):
        slope, bend = _derivatives(overlap, power, change, variance, contrast_variance)
        most = step / 2**turn if turn else step
        tried = (change + (slope / bend.abs().clamp(min=1e-30)).clamp(-most, most)).clamp(-reach, reach)
        new_overlap, new_power = sums.at(tried)
        new = value(new_overlap[0], new_power[0], tried)
        better = new > best
        change, best = torch.where(better, tried, change), torch.where(better, new, best)
        overlap, power = torch.where(better, new_overlap, overlap), torch.where(better, new_power, power)
    bend = _derivatives(overlap, power, change, variance, contrast_variance)[1]
    error = bend.clamp(min=1 / variance).rsqrt()  # the data cannot know less than nothing
    return FoundDefocus(change, error, overlap[0], power[0])


def _derivatives(
    overlap: Tensor, power: Tensor, change: Tensor, variance: float, contrast_variance: float
) -> tuple[Tensor, Tensor]:
    """Slope of the log-posterior, and its curvature (positive at a top), the contrast at its best."""
    one = torch.ones_like(change)
    contrast = contrast_posterior(overlap[0], power[0], contrast_variance)[0] if contrast_variance > 0 else one
    slope = contrast * overlap[1] - contrast**2 * power[1] / 2 - change / variance
    bend = contrast * overlap[2] - contrast**2 * power[2] / 2 - 1 / variance
    if contrast_variance > 0:  # as the contrast follows
        bend = bend + (overlap[1] - contrast * power[1]).square() / (power[0] + 1 / contrast_variance)
    return slope, -bend


def _line(fastest: float, reach: float) -> Float[Tensor, " g"]:
    """Changes to begin from, Å, 0 among them."""
    count = max(FEWEST_STEPS, math.ceil(reach * fastest * STEPS_PER_CYCLE / (2 * math.pi)))
    return torch.linspace(-reach, reach, 2 * count + 1, dtype=torch.float64)


@dataclasses.dataclass(frozen=True, eq=False)
class _Rings:
    """Which points of images share λs²: ring [P] by radius, ``kind`` [B, J] by wavelength; rate [R]."""

    ring: Tensor
    kind: Tensor
    rate: Tensor

    @staticmethod
    def of(lattice: Lattice, length: Tensor, pixel_size: float) -> _Rings:
        radius2, ring = lattice.integers.square().sum(-1).unique(return_inverse=True)
        lengths, kind = length.double().unique(return_inverse=True)
        spatial = radius2.double() / (lattice.box * pixel_size) ** 2
        return _Rings(ring, kind, (math.pi * lengths[:, None] * spatial).flatten())

    def sums(self, values: Float[Tensor, "b j p"]) -> Float[Tensor, "b r"]:
        """Over the points of each ring and the images of each particle."""
        particles, images = values.shape[:2]
        kinds = int(self.kind.max()) + 1 if self.kind.numel() else 1
        size = len(self.rate) // kinds
        per_image = values.new_zeros(particles * images, size).index_add_(1, self.ring, values.flatten(0, 1))
        owner = torch.arange(particles, device=values.device)[:, None] * kinds + self.kind
        return values.new_zeros(particles * kinds, size).index_add_(0, owner.flatten(), per_image).view(particles, -1)
