"""The MRC2014 header (Cheng et al. 2015, J. Struct. Biol. 192:146): reading leniently, writing strictly."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hypermol.errors import DataError

HEADER_BYTES = 1024
MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
LARGEST_SIDE = 1 << 17
_IMOD_STAMP = 1146047817


@dataclass(frozen=True)
class MrcHeader:
    """What the first 1,024 bytes say. ``pixel_size`` is None where the header states none (Å per pixel)."""

    columns: int
    rows: int
    sections: int
    mode: int
    dtype: np.dtype
    data_offset: int
    pixel_size: float | None
    space_group: int
    notes: tuple[str, ...]

    @property
    def section_bytes(self) -> int:
        """Bytes of one image (exact: Python integers do not overflow)."""
        return self.columns * self.rows * self.dtype.itemsize

    @property
    def file_bytes(self) -> int:
        """Bytes that the whole file must have."""
        return self.data_offset + self.section_bytes * self.sections


def parse_header(raw: bytes, path: Path) -> MrcHeader:
    """Read a header in either byte order. Raises DataError where this is no MRC file.

    The machine stamp decides the byte order; where it is zero or unknown (older EMAN, Warp, IMOD) the order in
    which sizes and mode make sense is taken, and a note says so.
    """
    if raw[:2] == b"\x1f\x8b":
        raise DataError(f"{path}: expected an MRC stack, found a gzip file; unpack it first (gunzip)")
    if len(raw) < HEADER_BYTES:
        raise DataError(
            f"{path}: expected an MRC stack (header of 1024 bytes), found a file of {len(raw)} bytes; "
            "copy or extract the stack again"
        )
    order, notes = _byte_order(raw, path)
    columns, rows, sections, mode = struct.unpack(order + "4i", raw[:16])
    extended = struct.unpack(order + "i", raw[92:96])[0]
    if extended < 0:
        raise DataError(f"{path}: MRC header: extended header of {extended} bytes; extract the stack again")
    if raw[208:211] not in (b"MAP",):
        notes.append("the header lacks the word MAP")
    return MrcHeader(
        columns=columns,
        rows=rows,
        sections=sections,
        mode=mode,
        dtype=_dtype(raw, order, mode),
        data_offset=HEADER_BYTES + extended,
        pixel_size=_pixel_size(raw, order, notes),
        space_group=struct.unpack(order + "i", raw[88:92])[0],
        notes=tuple(notes),
    )


def build_header(
    box: int, images: int, pixel_size: float, mode: int, statistics: tuple[float, float, float, float]
) -> bytes:
    """A little-endian header of an image stack: sampling in Å, space group 0, mz = 1.

    ``statistics`` are minimum, maximum, mean and root mean square deviation.
    """
    low, high, mean, rms = statistics
    raw = bytearray(HEADER_BYTES)
    struct.pack_into("<10i", raw, 0, box, box, images, mode, 0, 0, 0, box, box, 1)
    struct.pack_into("<3f", raw, 40, box * pixel_size, box * pixel_size, pixel_size)
    struct.pack_into("<3f", raw, 52, 90.0, 90.0, 90.0)
    struct.pack_into("<3i", raw, 64, 1, 2, 3)
    struct.pack_into("<3f", raw, 76, low, high, mean)
    struct.pack_into("<i", raw, 108, 20140)
    raw[208:216] = b"MAP \x44\x44\x00\x00"
    struct.pack_into("<f", raw, 216, rms)
    struct.pack_into("<i", raw, 220, 1)
    raw[224:304] = b"written by hypermol".ljust(80)
    return bytes(raw)


def _byte_order(raw: bytes, path: Path) -> tuple[str, list[str]]:
    stamp = raw[212:214]
    named = {b"\x44\x44": "<", b"\x44\x41": "<", b"\x11\x11": ">"}.get(stamp)
    for order in ("<", ">") if named is None else (named,):
        if _sensible(raw, order):
            if named:
                return order, []
            word = "zero" if stamp == b"\x00\x00" else f"unknown ({stamp.hex()})"
            byte_order = "little" if order == "<" else "big"
            return order, [f"the machine stamp is {word}; read as {byte_order}-endian"]
    columns, rows, sections, mode = struct.unpack((named or "<") + "4i", raw[:16])
    raise DataError(
        f"{path}: expected an MRC stack (mode one of {', '.join(map(str, MODES))}), found a header that says "
        f"{columns} x {rows} x {sections}, mode {mode}: this is no MRC image stack; check the path"
    )


def _sensible(raw: bytes, order: str) -> bool:
    columns, rows, sections, mode = struct.unpack(order + "4i", raw[:16])
    return 0 < columns <= LARGEST_SIDE and 0 < rows <= LARGEST_SIDE and sections > 0 and mode in MODES


def _dtype(raw: bytes, order: str, mode: int) -> np.dtype:
    stamp, flags = struct.unpack(order + "2i", raw[152:160])
    if mode == 0 and stamp == _IMOD_STAMP and not flags & 1:
        return np.dtype("u1")  # IMOD before 4.2.23 wrote unsigned bytes; its flag bit 1 says "signed"
    return np.dtype(order + MODES[mode])


def _pixel_size(raw: bytes, order: str, notes: list[str]) -> float | None:
    samples_x, samples_y = struct.unpack(order + "2i", raw[28:36])
    length_x, length_y = struct.unpack(order + "2f", raw[40:48])
    if samples_x <= 0 or samples_y <= 0 or not np.isfinite([length_x, length_y]).all() or length_x <= 0:
        return None
    size_x, size_y = length_x / samples_x, length_y / samples_y
    if abs(size_x - size_y) > 0.01 * size_x:
        notes.append(f"the header states different pixel sizes in x and y ({size_x:.4g}, {size_y:.4g} Å)")
        return None
    return size_x
