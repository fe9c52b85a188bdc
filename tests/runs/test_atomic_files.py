"""Every writer of the package goes through one piece: what is written appears whole, or what was there stays."""

import numpy as np
import pytest
import torch

from hypermol.atomic import atomic_path, is_unfinished, write_with
from hypermol.errors import DataError
from hypermol.maps import read_map, write_map
from hypermol.particles import StackReader, StackWriter
from hypermol.particles.star import write_text


class Broken(Exception):
    pass


def broken(*_, **__):
    raise Broken


def test_a_library_may_write_the_neighbour_itself(tmp_path):
    path = tmp_path / "x"
    with atomic_path(path) as part:
        assert part.parent == tmp_path
        assert is_unfinished(part)
        part.write_bytes(b"first")
        assert not path.exists()
    with pytest.raises(Broken), atomic_path(path) as part:
        broken(part.write_bytes(b"second"))
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_map_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = write_map(tmp_path / "a.mrc", torch.ones(4, 4, 4), 2.0)
    monkeypatch.setattr("mrcfile.mrcfile.MrcFile.set_volume", broken)
    with pytest.raises(Broken):
        write_map(path, torch.zeros(4, 4, 4), 2.0)
    monkeypatch.undo()
    assert float(read_map(path)[0].mean()) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_stack_appears_with_its_header_or_not_at_all(tmp_path):
    path = tmp_path / "a.mrcs"
    images = np.arange(32, dtype=np.float32).reshape(2, 4, 4)
    with StackWriter(path, 4, 3.0) as stack:
        stack.append(images)
        assert not path.exists()
    np.testing.assert_array_equal(StackReader(path).read(np.arange(2)), images)
    with pytest.raises(Broken), StackWriter(path, 4, 3.0) as stack:
        broken(stack.append(images[:1]))
    assert StackReader(path).shape == (2, 4, 4)
    assert list(tmp_path.iterdir()) == [path]


def test_a_header_that_cannot_be_made_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("hypermol.particles.stack.build_header", broken)
    with pytest.raises(Broken), StackWriter(tmp_path / "a.mrcs", 4, 3.0) as stack:
        stack.append(np.zeros((4, 4)))
    assert list(tmp_path.iterdir()) == []


def test_star_text_keeps_bytes_that_are_no_utf8(tmp_path):
    text = b"caf\xe9 \xc3\xa9\r\n".decode("utf-8", "surrogateescape")
    write_text(tmp_path / "a.star", text)
    assert (tmp_path / "a.star").read_bytes() == b"caf\xe9 \xc3\xa9\r\n"
    with pytest.raises(DataError, match="cannot be written"):
        write_text(tmp_path / "absent" / "a.star", text)


def test_permissions_are_those_of_an_ordinary_file(tmp_path):
    write_with(tmp_path / "a", lambda stream: stream.write(b"x"))
    (tmp_path / "b").write_bytes(b"x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode
