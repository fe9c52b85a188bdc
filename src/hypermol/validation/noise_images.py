"""Noise in place of images: same poses, same CTF, same noise spectrum, no molecule (Einstein from noise).

Shatsky et al. 2009, J. Struct. Biol. 166:67; Henderson 2013, PNAS 110:18037: what a pipeline finds in pure noise it
has put there itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.particles import Batch, ImageSource


@dataclass(frozen=True, eq=False)
class NoiseSource:
    """An image source whose images are noise with E|N(k)|² = σ²(|k|); a function of (seed, particle) alone."""

    images: ImageSource
    seed: int

    def __getattr__(self, name: str) -> Any:
        return getattr(self.images, name)

    def load(self, particles: Tensor) -> Batch:
        """As ``ImageSource.load``, with noise for images."""
        return self._replaced(self.images.load(particles))

    def stream(self, groups: Iterable[Tensor]) -> Iterator[Batch]:
        """As ``ImageSource.stream``, with noise for images."""
        stream = self.images.stream(groups)
        try:
            for batch in stream:
                yield self._replaced(batch)
        finally:
            getattr(stream, "close", lambda: None)()

    def _replaced(self, batch: Batch) -> Batch:
        rows, size = batch.particle.cpu().numpy(), 2 * batch.images[0].numel()
        drawn = np.stack([_generator(self.seed, row).standard_normal(size, dtype=np.float32) for row in rows])
        unit = torch.from_numpy(drawn).view(*batch.images.shape, 2).to(batch.images.device)
        real = batch.lattice.weight < 0.75  # a self-conjugate point is real: its whole variance is in one number
        scale = torch.where(real[:, None], unit.new_tensor([1.0, 0.0]), unit.new_tensor([0.5**0.5, 0.5**0.5]))
        noise = torch.view_as_complex((unit * scale).contiguous())
        return replace(batch, images=noise * (batch.variance.sqrt() * batch.valid[..., None]))


def _generator(seed: int, particle: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, int(particle)]))
