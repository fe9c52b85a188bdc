"""Stages on disk: kept while what they rest on stays, and redone where their files are damaged."""

from pathlib import Path

import numpy as np
import pytest

from hypermol.runs import Run
from hypermol.validation import stages
from hypermol.validation.kept import Kept


@pytest.mark.parametrize("content", [b"", b"{", b"PK\x03\x04 and no more"])
def test_damaged_stages_are_redone(tmp_path: Path, content: bytes) -> None:
    kept, made = Kept(tmp_path / "stages"), []

    def both() -> None:
        arrays = kept.arrays("a", {"seed": 1}, lambda: {"z": np.arange(len(made) + 1)})
        record = kept.record("r", {"seed": 1}, lambda: made.append(1) or {"z": np.float64(2)})
        assert (len(arrays["z"]), record) == (len(made), {"z": 2.0})

    for number in (1, 1, 2):
        if number == 2:
            for name in ("a.npz", "r.json"):
                (kept.folder / name).write_bytes(content)
        both()
        assert len(made) == number


def test_stages_of_an_older_program_are_redone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(tmp_path / "stages")
    run = Run.create(tmp_path / "half", {"seed": 1, "method": {}, "input": {}})
    for made, number in ((1, stages.FORMAT), (2, stages.FORMAT + 1)):
        monkeypatch.setattr(stages, "FORMAT", number)
        assert kept.record("r", stages.key_of((run,)), lambda now=made: {"by": now}) == {"by": made}
