"""Work on many equal tiles with Python threads, each computing on one core.

The kernels and transforms release Python's lock; small tiles on their own threads stay in the processor's
caches, and, unlike threads inside each operation, do not wait for one another when the machine is busy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch

T = TypeVar("T")
TILES_IN_FLIGHT = 16
"""Per thread, so that finished tiles never fill the memory."""


def in_tiles(work: Callable[[np.ndarray], T], count: int, tile: int) -> Iterator[tuple[np.ndarray, T]]:
    """Yield (indices, work(indices)) for consecutive tiles of 0...count-1, in order.

    As many threads as torch would use. The number of threads never changes a result, as each tile is computed
    by one thread alone.
    """
    tiles = [np.arange(start, min(start + tile, count)) for start in range(0, count, tile)]
    threads = max(1, min(torch.get_num_threads(), len(tiles)))
    with _one_thread_per_operation():
        if threads == 1:
            for indices in tiles:
                yield indices, work(indices)
            return
        with ThreadPoolExecutor(threads) as pool:
            step = threads * TILES_IN_FLIGHT
            for first in range(0, len(tiles), step):
                block = tiles[first : first + step]
                yield from zip(block, pool.map(work, block))


@contextmanager
def _one_thread_per_operation() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
