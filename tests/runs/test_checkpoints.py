"""Checkpoints: exact, the newest few, refused when newer or broken."""

import json
from pathlib import Path

import pytest
import torch

from hypermol.errors import DataError
from hypermol.runs import checkpoints


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_tensors_and_data_come_back(tmp_path: Path) -> None:
    tensors = {
        "x": torch.randn(4, 3),
        "view": torch.randn(4, 6)[:, ::2].T,
        "wave": torch.randn(5, dtype=torch.complex128)[None],
        "whole": torch.tensor([2**62, -1]),
        "flag": torch.tensor(True),
        "empty": torch.zeros(0, 7),
        "moving": torch.ones(2, requires_grad=True),
    }
    tensors["again"] = tensors["x"]
    data = {"epoch": 3, "loss": 0.1 + 0.2, "names": ["a", "é"], "none": None, "nan": float("inf")}
    path = checkpoints.save(tmp_path / "deep" / "er", tensors, data)
    found, back = checkpoints.load(path)
    assert back == data
    assert checkpoints.latest_data(tmp_path / "deep" / "er") == data
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor)
        assert found[name].dtype == tensor.dtype
        assert not found[name].requires_grad


def test_the_newest_two_are_kept_in_order(tmp_path: Path) -> None:
    assert checkpoints.load_latest(tmp_path) is None
    assert checkpoints.load_latest(tmp_path / "nowhere") is None
    assert checkpoints.latest_data(tmp_path) is None
    for number in range(1, 13):
        checkpoints.save(tmp_path, {"n": torch.tensor(number)}, {"n": number})
    assert names(tmp_path) == ["000000011", "000000012"]
    assert checkpoints.load_latest(tmp_path)[1] == {"n": 12}
    assert checkpoints.load(tmp_path / "000000011")[0]["n"] == 11


def test_leftovers_of_a_kill_are_ignored_and_removed(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, {}, {"n": 1})
    left = tmp_path / ".000000002.part"
    left.mkdir()
    (left / "tensors.safetensors").write_bytes(b"half")
    assert checkpoints.load_latest(tmp_path)[1] == {"n": 1}
    checkpoints.save(tmp_path, {}, {"n": 2})
    assert names(tmp_path) == ["000000001", "000000002"]


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = checkpoints.save(tmp_path, {}, {})
    content = json.loads((path / "data.json").read_text())
    (path / "data.json").write_text(json.dumps({**content, "format": 2}))
    with pytest.raises(DataError, match="format 2 is newer"):
        checkpoints.load_latest(tmp_path)


@pytest.mark.parametrize("spoil", ["tensors.safetensors", "data.json"])
@pytest.mark.parametrize("how", ["truncate", "remove", "garbage", "other"])
def test_a_broken_checkpoint_is_named_and_the_one_before_it_works(tmp_path: Path, spoil: str, how: str) -> None:
    for number in (1, 2):
        checkpoints.save(tmp_path, {"n": torch.full((100,), number)}, {"n": number})
    path = tmp_path / "000000002" / spoil
    whole = path.read_bytes()
    if how == "remove":
        path.unlink()
    else:
        path.write_bytes({"truncate": whole[: len(whole) // 2], "garbage": b"\x93abc" * 50, "other": b"[1]"}[how])
    with pytest.raises(DataError, match=r"000000002: this checkpoint cannot be read .* remove the folder"):
        checkpoints.load_latest(tmp_path)
    for file in (tmp_path / "000000002").iterdir():
        file.unlink()
    (tmp_path / "000000002").rmdir()
    assert checkpoints.load_latest(tmp_path)[1] == {"n": 1}
    checkpoints.save(tmp_path, {}, {"n": 2})
    assert checkpoints.load_latest(tmp_path)[1] == {"n": 2}


def test_a_failed_save_leaves_the_earlier_ones(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, {"n": torch.ones(3)}, {"n": 1})
    with pytest.raises(TypeError):
        checkpoints.save(tmp_path, {"n": torch.ones(3)}, {"n": object()})
    assert names(tmp_path) == ["000000001"]
