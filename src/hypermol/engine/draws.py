"""Random draws keyed by (seed, purpose, phase, pass, batch): no generator state is ever saved.

Draws are made for the whole global batch and sliced, so they do not depend on the number of processes or on
the size of a microbatch.
"""

from __future__ import annotations

import dataclasses
import hashlib

import torch
from torch import Tensor


def generator(seed: int, *key: object) -> torch.Generator:
    """A CPU generator seeded by a hash of (seed, key)."""
    digest = hashlib.sha256(repr((int(seed), *key)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


@dataclasses.dataclass(frozen=True)
class Draws:
    """The draws of one batch: ``total`` particles in the global batch, of which this process sees [start, stop).

    The same purpose asked for twice gives the same numbers: name each draw of a step differently.
    """

    seed: int
    key: tuple[int, ...]
    total: int
    start: int
    stop: int
    device: torch.device

    def normal(self, purpose: str, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Standard normal, [stop - start, *shape]."""
        whole = torch.randn(self.total, *shape, generator=self._generator("normal", purpose), dtype=dtype)
        return whole[self.start : self.stop].to(self.device)

    def uniform(self, purpose: str, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Uniform in [0, 1), [stop - start, *shape]."""
        whole = torch.rand(self.total, *shape, generator=self._generator("uniform", purpose), dtype=dtype)
        return whole[self.start : self.stop].to(self.device)

    def shared_normal(self, purpose: str, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Standard normal, the same for every particle and process."""
        return torch.randn(*shape, generator=self._generator("shared normal", purpose), dtype=dtype).to(self.device)

    def part(self, start: int, stop: int) -> Draws:
        """The draws of particles [start, stop) of this process's share."""
        return dataclasses.replace(self, start=self.start + start, stop=self.start + stop)

    def _generator(self, kind: str, purpose: str) -> torch.Generator:
        return generator(self.seed, kind, purpose, *self.key)
