"""The order in which particles are visited: a pure function of seed and pass, kind to spinning disks."""

from __future__ import annotations

import numpy as np
import torch

from hypermol.errors import ConfigError
from hypermol.shapes import Int

CHUNK = 256
BUFFER = 16
_PURPOSE = 0x0D


def pass_order(
    count: int, seed: int, pass_index: int, chunk: int = CHUNK, buffer: int = BUFFER
) -> Int[torch.Tensor, " count"]:
    """A permutation of ``count`` particles, Int64 [count].

    The particles are cut into chunks of ``chunk`` neighbours (from an offset that differs from pass to pass),
    the chunks are shuffled, and ``buffer`` chunks at a time are mixed: reading stays within a few contiguous
    pieces of the stack, while every batch draws from ``chunk * buffer`` particles of different places. A set
    that fits in one buffer is shuffled completely. The order never depends on memory, device or batch size.
    """
    if chunk < 1 or buffer < 1:
        raise ConfigError(f"order: expected chunk and buffer of at least 1, found {chunk} and {buffer}")
    generator = np.random.default_rng([seed, _PURPOSE, pass_index])
    if count <= chunk * buffer:
        return torch.from_numpy(generator.permutation(count).astype(np.int64))
    start = int(generator.integers(chunk))
    edges = np.unique(np.concatenate([[0], np.arange(start, count, chunk), [count]]))
    chunks = generator.permutation(len(edges) - 1)
    pieces = []
    for first in range(0, len(chunks), buffer):
        window = [np.arange(edges[c], edges[c + 1]) for c in chunks[first : first + buffer]]
        pieces.append(generator.permutation(np.concatenate(window)))
    return torch.from_numpy(np.concatenate(pieces).astype(np.int64))
