"""Image stacks (.mrcs): reading any images by number, writing image after image."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from io import FileIO
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from hypermol.atomic import atomic_file
from hypermol.errors import DataError
from hypermol.particles.mrc import HEADER_BYTES, MrcHeader, build_header, parse_header

LARGEST_READ = 64 << 20


@dataclass(frozen=True)
class StackReader:
    """An MRC stack. The header is read when first asked for; each ``read`` opens the file by itself, so one
    reader serves several threads. Offsets are Python integers and never overflow."""

    path: Path

    @cached_property
    def header(self) -> MrcHeader:
        """The header. Raises DataError where the file is missing or no MRC file."""
        try:
            with open(self.path, "rb") as file:
                return parse_header(file.read(HEADER_BYTES), Path(self.path))
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read as a stack ({error.strerror or error})") from None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Images, rows, columns."""
        return self.header.sections, self.header.rows, self.header.columns

    @property
    def dtype(self) -> np.dtype:
        """The number type in the file; ``read`` always gives float32."""
        return self.header.dtype

    def missing_bytes(self) -> int:
        """How many bytes the file is short of what its header promises (0 when whole)."""
        return max(0, self.header.file_bytes - os.stat(self.path).st_size)

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Images by 0-based number, float32 [n, rows, columns], in the order asked for.

        Neighbouring images are read in one go. Raises DataError for a number outside the stack or a file that
        ends too early.
        """
        indices = np.asarray(indices, dtype=np.int64).reshape(-1)
        count, rows, columns = self.shape
        if len(indices) and (indices.min() < 0 or indices.max() >= count):
            bad = indices[(indices < 0) | (indices >= count)][0]
            raise DataError(f"{self.path}: image {bad + 1} asked for, but the stack holds {count}")
        out = np.empty((len(indices), rows, columns), dtype=np.float32)
        order = np.argsort(indices, kind="stable")
        with open(self.path, "rb", buffering=0) as file:
            for start, stop in _runs(indices[order], max(1, LARGEST_READ // self.header.section_bytes)):
                images = self._read_run(file, int(indices[order[start]]), stop - start)
                out[order[start:stop]] = images
        return out

    def _read_run(self, file: FileIO, first: int, count: int) -> NDArray:
        header = self.header
        buffer = np.empty((count, header.rows, header.columns), dtype=header.dtype)
        view = memoryview(buffer.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
        offset, done = header.data_offset + first * header.section_bytes, 0
        file.seek(offset)
        while done < len(view):
            got = file.readinto(view[done:])
            if not got:
                raise DataError(
                    f"{self.path}: the file ends inside image {first + done // header.section_bytes + 1}, but its "
                    f"header promises {header.sections}; copy or extract the stack again"
                )
            done += got
        return buffer


def _runs(indices: NDArray[np.int64], longest: int) -> Iterator[tuple[int, int]]:
    """Split sorted numbers into runs of neighbours (start, stop) of at most ``longest``."""
    breaks = np.flatnonzero(np.diff(indices) != 1) + 1
    edges = [0, *breaks.tolist(), len(indices)]
    for start, stop in itertools.pairwise(edges):
        for begin in range(start, stop, longest):
            yield begin, min(begin + longest, stop)


@dataclass
class StackWriter:
    """Writes an MRC stack image by image, with a correct header (pixel size, statistics) at the end.

    A context manager: the file appears under its name only when everything has been written.

        with StackWriter(path, box=64, pixel_size=3.0) as stack:
            stack.append(images)          # float [n, 64, 64], as often as wanted
    """

    path: Path
    box: int
    pixel_size: float
    mode: int = 2
    count: int = 0
    _moments: list[float] = field(default_factory=lambda: [np.inf, -np.inf, 0.0, 0.0])

    def __enter__(self) -> StackWriter:
        self._leaving = contextlib.ExitStack()
        self._file = self._leaving.enter_context(atomic_file(Path(self.path)))
        self._leaving.push(self._finish)
        self._file.write(bytes(HEADER_BYTES))
        return self

    def append(self, images: NDArray) -> None:
        """Add images [n, box, box] or one image [box, box]. Raises DataError for another size."""
        images = np.asarray(images)
        images = images[None] if images.ndim == 2 else images
        if images.shape[1:] != (self.box, self.box):
            raise DataError(f"{self.path}: images of {images.shape[1:]} pixels do not fit a {self.box} pixel stack")
        data = np.ascontiguousarray(images, dtype={2: "<f4", 12: "<f2"}[self.mode])
        data.tofile(self._file)
        low, high, total, squares = self._moments
        wide = data.astype(np.float64)
        self._moments = [
            min(low, float(wide.min(initial=np.inf))),
            max(high, float(wide.max(initial=-np.inf))),
            total + float(wide.sum()),
            squares + float(np.square(wide).sum()),
        ]
        self.count += len(data)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.__exit__(kind, error, trace)

    def _finish(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._file.seek(0)
            self._file.write(build_header(self.box, self.count, self.pixel_size, self.mode, self._statistics()))

    def _statistics(self) -> tuple[float, float, float, float]:
        pixels = self.count * self.box**2
        if not pixels:
            return 0.0, -1.0, -2.0, -1.0  # MRC2014: "not determined"
        low, high, total, squares = self._moments
        mean = total / pixels
        return low, high, mean, float(np.sqrt(max(0.0, squares / pixels - mean**2)))
