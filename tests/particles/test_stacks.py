"""Stacks: every number type and byte order against mrcfile, 64-bit offsets, writing, damage."""

import os
import struct
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from hypermol.errors import DataError
from hypermol.particles import StackReader, StackWriter
from hypermol.particles.mrc import HEADER_BYTES, build_header


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32", "uint16", "float16"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_number_types_and_byte_orders_as_mrcfile_reads_them(tmp_path: Path, dtype: str, order: str):
    data = (np.random.default_rng(1).normal(size=(7, 12, 12)) * 40).astype(dtype)
    data = np.abs(data) if dtype == "uint16" else data
    path = tmp_path / "a.mrcs"
    with mrcfile.new(path) as file:
        file.set_data(data)
        file.set_image_stack()
        file.voxel_size = 1.7
    if order == ">":
        _swap(path, data)
        with mrcfile.open(path) as file:
            np.testing.assert_array_equal(file.data, data)
    reader = StackReader(path)
    wanted = np.array([6, 0, 3, 4, 5, 3])
    read = reader.read(wanted)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, data[wanted].astype(np.float32))
    assert reader.shape == (7, 12, 12)
    assert reader.header.pixel_size == pytest.approx(1.7, rel=1e-6)


def _swap(path: Path, data: np.ndarray) -> None:
    raw = bytearray(path.read_bytes()[:HEADER_BYTES])
    words = np.frombuffer(bytes(raw), dtype="<i4").astype(">i4").tobytes()
    swapped = bytearray(words)
    swapped[104:108] = raw[104:108]
    swapped[208:216] = b"MAP \x11\x11\x00\x00"
    swapped[224:] = raw[224:]
    path.write_bytes(bytes(swapped) + data.astype(data.dtype.newbyteorder(">")).tobytes())


def test_unsigned_bytes_of_old_imod_files(tmp_path: Path):
    header = bytearray(build_header(8, 1, 1.0, 0, (0, 1, 0, 1)))
    values = np.arange(64, dtype=np.uint8) * 4
    for flags, expected in ((0, values.astype(np.float32)), (1, values.view(np.int8).astype(np.float32))):
        struct.pack_into("<2i", header, 152, 1146047817, flags)
        (tmp_path / "a.mrc").write_bytes(bytes(header) + values.tobytes())
        np.testing.assert_array_equal(StackReader(tmp_path / "a.mrc").read(np.array([0])).ravel(), expected)


def test_extended_header_is_skipped(tmp_path: Path):
    header = bytearray(build_header(8, 2, 1.0, 2, (0, 1, 0, 1)))
    struct.pack_into("<i", header, 92, 2048)
    data = np.random.default_rng(0).normal(size=(2, 8, 8)).astype("<f4")
    (tmp_path / "a.mrcs").write_bytes(bytes(header) + b"\xff" * 2048 + data.tobytes())
    np.testing.assert_array_equal(StackReader(tmp_path / "a.mrcs").read(np.array([1, 0])), data[::-1])


def test_a_zero_machine_stamp_is_read_and_said(tmp_path: Path):
    header = bytearray(build_header(8, 1, 1.0, 2, (0, 1, 0, 1)))
    header[208:216] = bytes(8)
    data = np.arange(64, dtype="<f4")
    (tmp_path / "a.mrcs").write_bytes(bytes(header) + data.tobytes())
    reader = StackReader(tmp_path / "a.mrcs")
    np.testing.assert_array_equal(reader.read(np.array([0])).ravel(), data)
    assert any("machine stamp is zero" in note for note in reader.header.notes)


@pytest.mark.parametrize(("mode", "dtype"), [(2, "<f4"), (12, "<f2")])
def test_offsets_beyond_four_gigabytes(tmp_path: Path, mode: int, dtype: str):
    """A sparse stack: image numbers times image bytes exceed 2³² (and 2³¹ pixels) by far."""
    box, count = 512, 9000
    path = tmp_path / "big.mrcs"
    marks = {0: 1.5, 2047: 2.5, 4096: -3.5, 8191: 4.5, 8999: 7.25}
    with open(path, "wb") as file:
        file.write(build_header(box, count, 1.0, mode, (0, 1, 0, 1)))
        size = box * box * np.dtype(dtype).itemsize
        for number, value in marks.items():
            file.seek(HEADER_BYTES + number * size)
            file.write(np.full(box * box, value, dtype=dtype).tobytes())
        file.truncate(HEADER_BYTES + count * size)
    assert os.stat(path).st_size > 1 << 32
    reader = StackReader(path)
    assert reader.missing_bytes() == 0
    images = reader.read(np.array([8999, 4096, 0, 8191, 2047, 4095]))
    assert images[:, 17, 401].tolist() == [7.25, -3.5, 1.5, 4.5, 2.5, 0.0]
    assert images.min(axis=(1, 2)).tolist() == images.max(axis=(1, 2)).tolist()


@pytest.mark.parametrize("mode", [2, 12])
def test_what_is_written_is_valid_for_mrcfile(tmp_path: Path, mode: int):
    data = np.random.default_rng(2).normal(size=(9, 16, 16)).astype({2: "f4", 12: "f2"}[mode])
    with StackWriter(tmp_path / "a.mrcs", 16, 2.75, mode=mode) as stack:
        stack.append(data[:4])
        stack.append(data[4])
        stack.append(data[5:])
    assert mrcfile.validate(tmp_path / "a.mrcs")
    with mrcfile.open(tmp_path / "a.mrcs") as file:
        np.testing.assert_array_equal(file.data, data)
        assert file.is_image_stack()
        np.testing.assert_allclose(float(file.voxel_size.x), 2.75, rtol=1e-6)
        np.testing.assert_allclose(float(file.header.dmean), data.astype("f8").mean(), atol=1e-6)
        np.testing.assert_allclose(float(file.header.rms), data.astype("f8").std(), rtol=1e-5)
        assert (file.header.dmin, file.header.dmax) == (data.min(), data.max())
    assert StackReader(tmp_path / "a.mrcs").header.notes == ()


def test_an_interrupted_writer_leaves_nothing(tmp_path: Path):
    def interrupted() -> None:
        with StackWriter(tmp_path / "a.mrcs", 8, 1.0) as stack:
            stack.append(np.zeros((2, 8, 8)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_images_of_another_size_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match="do not fit"), StackWriter(tmp_path / "a.mrcs", 8, 1.0) as stack:
        stack.append(np.zeros((2, 10, 10)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes"),
        (b"this is no stack\n" * 100, "no MRC image stack"),
        (bytes(4096), "no MRC image stack"),
        (b"\x1f\x8b" + bytes(3000), "gzip"),
    ],
)
def test_what_is_no_stack_is_refused(tmp_path: Path, content: bytes, message: str):
    (tmp_path / "a.mrcs").write_bytes(content)
    with pytest.raises(DataError, match=message):
        _ = StackReader(tmp_path / "a.mrcs").header


def test_truncation_and_numbers_outside(tmp_path: Path):
    with StackWriter(tmp_path / "a.mrcs", 8, 1.0) as stack:
        stack.append(np.ones((5, 8, 8)))
    os.truncate(tmp_path / "a.mrcs", HEADER_BYTES + 3 * 256 + 100)
    reader = StackReader(tmp_path / "a.mrcs")
    assert reader.missing_bytes() == 2 * 256 - 100
    assert reader.read(np.array([2])).shape == (1, 8, 8)
    with pytest.raises(DataError, match="ends inside image 4"):
        reader.read(np.array([3]))
    with pytest.raises(DataError, match="image 6 asked for"):
        reader.read(np.array([5]))
    with pytest.raises(DataError, match="cannot be read"):
        _ = StackReader(tmp_path / "none.mrcs").header
