"""The order of particles: a permutation, a pure function, kind to disks, well mixed."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hypermol.errors import ConfigError
from hypermol.particles import pass_order


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 3000), st.integers(0, 9), st.integers(0, 9), st.integers(1, 70), st.integers(1, 9))
def test_every_particle_once(count: int, seed: int, pass_index: int, chunk: int, buffer: int):
    order = pass_order(count, seed, pass_index, chunk, buffer)
    assert order.dtype == torch.int64
    assert torch.equal(order.sort().values, torch.arange(count))
    assert torch.equal(order, pass_order(count, seed, pass_index, chunk, buffer))


def test_seed_and_pass_change_the_order():
    orders = [pass_order(5000, seed, p, 64, 8) for seed in (0, 1) for p in (0, 1, 2)]
    assert len({tuple(order.tolist()) for order in orders}) == 6


def test_reading_stays_within_few_pieces():
    """Any time in the pass, what is drawn comes from at most ``buffer`` contiguous pieces of the file."""
    order = pass_order(100_000, 3, 5, chunk=256, buffer=16).numpy()
    for first in range(600, len(order) - 4096, 4096):  # the two chunks cut by the ends move buffers by < 512
        drawn = np.sort(order[first : first + 4096 - 1200])
        assert 1 + (np.diff(drawn) > 128).sum() <= 16


def test_batches_mix_distant_particles():
    order = pass_order(100_000, 3, 5).numpy()
    spread = np.array([np.ptp(order[i : i + 64]) for i in range(0, 99_000, 64)])
    assert np.median(spread) > 60_000
    neighbours = np.abs(np.diff(order)) == 1
    assert neighbours.mean() < 0.002


def test_chunks_move_from_pass_to_pass():
    """Two neighbours are not tied to one buffer for ever: the cuts between chunks differ."""
    cuts = []
    for p in range(4):
        order = pass_order(8192, 0, p, chunk=64, buffer=4).numpy()
        first = np.sort(order[:256])
        cuts.append(first[np.flatnonzero(np.diff(first) > 1)] % 64)
    assert len({int(c[0]) for c in cuts if len(c)}) > 1


def test_impossible_sizes():
    with pytest.raises(ConfigError, match="at least 1"):
        pass_order(10, 0, 0, chunk=0)
