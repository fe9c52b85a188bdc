"""From names of stacks in a metadata file to files on this machine, and from their headers to problems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hypermol.errors import DataError
from hypermol.particles.mrc import MrcHeader
from hypermol.particles.problems import Problems, some
from hypermol.particles.stack import StackReader


@dataclass(frozen=True)
class Stacks:
    """The stacks of a data set. ``box`` and ``pixel_sizes`` (Å) are from the headers, None and empty where these
    are silent or absent; ``sections`` int64 per stack, -1 where the file is absent."""

    paths: tuple[Path, ...]
    sections: NDArray[np.int64]
    box: int | None
    pixel_sizes: tuple[float, ...]
    notes: tuple[str, ...]

    @property
    def pixel_size(self) -> float | None:
        """The pixel size on which the headers agree, Å."""
        return self.pixel_sizes[0] if len(self.pixel_sizes) == 1 else None

    def header_notes(self, stated: float) -> list[str]:
        """In words, where the headers say another pixel size than the metadata, whose size is used."""
        if not (self.sections >= 0).any():
            return []
        if not self.pixel_sizes:
            return [f"the stack's header states no pixel size; the metadata say {stated:.4g} Å"]
        other = [size for size in self.pixel_sizes if abs(size - stated) > 0.01 * stated]
        if not other:
            return []
        found = some((f"{size:.4g}" for size in other), 3)
        return [f"the stack's header says {found} Å per pixel, the metadata {stated:.4g} Å (used)"]


def candidates(name: str, metadata: Path, datadir: Path | None) -> list[Path]:
    """Where a stack called ``name`` may lie: in the data directory (also without its folders) where one is given;
    else beside the metadata file, in the folders above it (RELION and cryoSPARC name files from the project's
    folder), or in the working directory."""
    if datadir is not None:
        return [datadir / name.lstrip("/"), datadir / Path(name).name, Path(name)]
    folders = [metadata.parent, *metadata.parent.resolve().parents]
    return [*(folder / name for folder in folders), Path(name)]


def find_stacks(
    names: Sequence[str], metadata: Path, datadir: Path | None, problems: Problems, required: bool
) -> Stacks:
    """Find each stack and read its header. What is missing or no stack becomes a problem (a note where images
    are not ``required``)."""
    paths: list[Path] = []
    missing: list[str] = []
    notes: list[str] = []
    sections = np.full(len(names), -1, dtype=np.int64)
    boxes: dict[tuple[int, int], str] = {}
    sizes: dict[float, float] = {}
    for i, name in enumerate(names):
        path = next((c for c in candidates(name, metadata, datadir) if c.is_file()), None)
        paths.append(path or candidates(name, metadata, datadir)[0])
        if path is None:
            missing.append(name)
            continue
        header = _read_header(path, problems, notes)
        if header is None:
            continue
        sections[i] = header.sections
        boxes.setdefault((header.rows, header.columns), name)
        if header.pixel_size is not None:
            sizes.setdefault(float(f"{header.pixel_size:.4g}"), header.pixel_size)
    _missing(missing, datadir, problems, notes, required)
    box = _one_box(boxes, problems)
    return Stacks(tuple(paths), sections, box, tuple(sizes.values()), tuple(dict.fromkeys(notes)))


def check_sections(
    stacks: Stacks, image_stack: NDArray[np.int64], image_index: NDArray[np.int64], problems: Problems
) -> None:
    """Every image must lie within its stack; index 0 of a star file (-1 here) is a problem of its own."""
    if (image_index < 0).any():
        rows = np.flatnonzero(image_index < 0)
        problems.add(
            f"image number 0 in row {some(rows + 1)}: images are counted from 1 (000001@stack.mrcs); "
            "correct the image names"
        )
    held = stacks.sections[image_stack]
    for stack in np.unique(image_stack[(held >= 0) & (image_index >= held)]):
        rows = np.flatnonzero((image_stack == stack) & (image_index >= held))
        problems.add(
            f"{len(rows)} rows name images beyond the end of {stacks.paths[stack]}, which holds "
            f"{stacks.sections[stack]} (first: row {rows[0] + 1}, image {image_index[rows[0]] + 1}); "
            "the metadata belong to another stack, or the stack is incomplete"
        )


def _read_header(path: Path, problems: Problems, notes: list[str]) -> MrcHeader | None:
    reader = StackReader(path)
    try:
        header = reader.header
    except DataError as error:
        problems.add(str(error))
        return None
    notes.extend(f"{path.name}: {note}" for note in header.notes)
    missing = reader.missing_bytes()
    if missing:
        problems.add(
            f"{path}: the file is truncated: its header promises {header.sections} images of {header.columns} x "
            f"{header.rows} px, {missing} bytes are missing; copy or extract the stack again"
        )
    return header


def _missing(missing: list[str], datadir: Path | None, problems: Problems, notes: list[str], required: bool) -> None:
    if not missing:
        return
    places = f"in {datadir}" if datadir else "beside the file or in the folders above it"
    count = "1 stack was" if len(missing) == 1 else f"{len(missing)} stacks were"
    text = f"{count} not found {places}: {some(missing, 3)}"
    if required:
        problems.add(f"{text}; give the folder from which these names count with --datadir")
    else:
        notes.append(text)


def _one_box(boxes: dict[tuple[int, int], str], problems: Problems) -> int | None:
    if len(boxes) > 1:
        found = some(f"{c} x {r} px ({name})" for (r, c), name in boxes.items())
        problems.add(f"box sizes differ between stacks: {found}; extract all particles with one box")
    for (rows, columns), name in boxes.items():
        if rows != columns:
            problems.add(f"{name}: expected square images, found {columns} x {rows} px; extract with a square box")
        elif rows % 2:
            problems.add(
                f"{name}: expected an even box, found {rows} px; crop by one pixel to {rows - 1} px "
                f"(relion_image_handler --new_box {rows - 1}) or extract again"
            )
        elif rows < 8:
            problems.add(f"{name}: expected images of at least 8 px, found {rows} px")
    sides = [rows for rows, columns in boxes if rows == columns]
    return sides[0] if sides else None
