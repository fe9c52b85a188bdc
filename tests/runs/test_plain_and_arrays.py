"""Files that may be damaged, and values that JSON can hold."""

import json
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from hypermol.arrays import read_npz
from hypermol.errors import DataError
from hypermol.plain import plain, read_json
from hypermol.runs import Run


def spoiled(path: Path, how: str) -> None:
    """An .npz that is not whole."""
    np.savez_compressed(path, a=np.arange(1000), b=np.zeros(3))
    content = path.read_bytes()
    middle = len(content) // 4
    path.write_bytes(
        {
            "empty": b"",
            "text": b"not an archive",
            "cut": content[: len(content) // 2],
            "changed": content[:middle] + bytes(20) + content[middle + 20 :],
            "nothing inside": b"PK\x05\x06" + bytes(18),
        }[how]
    )


@pytest.mark.parametrize("how", ["empty", "text", "cut", "changed"])
def test_damaged_arrays_are_named_with_what_to_do(tmp_path: Path, how: str) -> None:
    spoiled(tmp_path / "x.npz", how)
    with pytest.raises(DataError, match=r"x\.npz cannot be read \(it is damaged, or no \.npz file\); do it again"):
        read_npz(tmp_path / "x.npz", "do it again")
    run = Run.create(tmp_path / "run", {"seed": 1})
    run.volumes.mkdir()
    for path, read in ((run.path / "estimates.npz", run.estimates), (run.volumes / "curves.npz", run.curves)):
        spoiled(path, how)
        with pytest.raises(DataError, match=f"{path.name} cannot be read .*hypermol train --resume"):
            read()


def test_arrays_of_another_kind(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(3))
    with pytest.raises(DataError, match="cannot be read"):
        read_npz(tmp_path / "x.npy", "")
    with pytest.raises(DataError, match="No such file"):
        read_npz(tmp_path / "absent.npz", "")
    spoiled(tmp_path / "x.npz", "nothing inside")
    assert read_npz(tmp_path / "x.npz", "") == {}


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", b"\xff\xfe{"])
def test_damaged_figures_are_named_with_what_to_do(tmp_path: Path, text: str | bytes) -> None:
    run = Run.create(tmp_path / "run", {"seed": 1})
    (run.path / "metrics.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=r"metrics\.json.*remove it"):
        run.metrics()
    with pytest.raises(DataError, match="do it again"):
        read_json(run.path / "metrics.json", "do it again")


def test_plain_data_are_what_json_can_hold() -> None:
    values = OrderedDict(
        {
            3: (np.float32(0.5), np.array([[1.0, np.nan]]), torch.tensor([1, 2]), np.bool_(True)),
            "scalars": [np.array(2.0), torch.tensor(-np.inf), np.int64(4), float("inf"), np.str_("é")],
            "kept": [None, True, 3, "text", 0.25],
            "path": Path("a") / "b",
        }
    )
    known = {
        "3": [0.5, [[1.0, None]], [1, 2], True],
        "scalars": [2.0, None, 4, None, "é"],
        "kept": [None, True, 3, "text", 0.25],
        "path": "a/b",
    }
    assert plain(values) == known
    assert json.loads(json.dumps(plain(values), allow_nan=False)) == known
