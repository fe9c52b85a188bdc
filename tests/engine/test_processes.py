"""Shares, and a program with more processes than particles in a batch."""

import itertools
from pathlib import Path

import harness
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hypermol.engine import Loop, MemoryStore, Processes


@given(count=st.integers(0, 300), world=st.integers(1, 17))
def test_shares_are_contiguous_whole_and_even(count: int, world: int) -> None:
    shares = [Processes(rank, world).share(count) for rank in range(world)]
    assert shares[0][0] == 0
    assert shares[-1][1] == count
    assert all(a[1] == b[0] for a, b in itertools.pairwise(shares))
    sizes = [stop - start for start, stop in shares]
    assert max(sizes) - min(sizes) <= 1


def test_one_process_needs_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    alone = Processes.join()
    assert (alone.rank, alone.world, alone.first) == (0, 1, True)
    assert alone.any(True, False) == (True, False)
    assert alone.all(True)
    assert not alone.all(False)
    rows = {"x": torch.ones(3)}
    assert alone.gather_rows(rows, 3) is rows


def test_batches_smaller_than_the_number_of_processes(doubled: Path) -> None:
    """Batches of one particle on two processes: one of them has nothing to contribute."""
    program = harness.load("small_batches")
    events: list[dict] = []
    alone = Loop(program.program(), program.source(), MemoryStore(), harness.SEED, report=events.append).run()
    tensors, content = harness.final(doubled / "small_batches")
    expected, expected_content = alone.to_checkpoint()
    assert content == expected_content
    assert content["data"]["skipped"] == 6
    assert tensors.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(tensors[name], value, rtol=1e-12, atol=1e-12)
    logged = [row for row in harness.Run(doubled / "small_batches").log() if row["event"] == "pass"]
    assert [row["x"] for row in logged] == pytest.approx([e["x"] for e in events if e["event"] == "pass"])


def test_only_the_first_process_writes(doubled: Path) -> None:
    rows = harness.Run(doubled / "two_class_em").log()
    assert [row["pass"] for row in rows if row["event"] == "pass"] == list(range(12))
