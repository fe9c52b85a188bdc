"""What a metadata file says of its images, row by row, before stacks are found and images joined to particles."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hypermol.particles.model import Document
from hypermol.particles.problems import Problems, some

if TYPE_CHECKING:
    from hypermol.imaging.ctf import CTF


@dataclass(frozen=True, eq=False)
class Rows:
    """M rows, each one image. The same for every kind of file.

    stack, index  int64 [M]: which of ``stack_names``, and the 0-based section in it (-1 where the file says 0)
    optics_group  int64 [M] into ``optics_names``
    pixel_sizes   Å, [M], or None where the file is silent;  boxes  pixels, [M], likewise
    ctf           CTF of batch shape [M] or None
    rotation      [M, 3, 3] of each image or None;  shift_angst, shift_px  [M, 2] parts of t, in Å and in pixels
    halves        the file's own half-sets [M], 0 or 1 (other values: not assigned), and ``halves_from``
    words         micrograph, group, particle (names per row), where the file has them
    sign          contrast sign that the file states, or None
    """

    path: Path
    document: Document | None
    stack_names: tuple[str, ...]
    stack: NDArray[np.int64]
    index: NDArray[np.int64]
    optics_group: NDArray[np.int64]
    optics_names: tuple[str, ...]
    pixel_sizes: NDArray[np.float64] | None = None
    boxes: NDArray[np.float64] | None = None
    ctf: CTF | None = None
    rotation: NDArray[np.float64] | None = None
    shift_angst: NDArray[np.float64] | None = None
    shift_px: NDArray[np.float64] | None = None
    halves: NDArray[np.float64] | None = None
    halves_from: str = ""
    words: dict[str, list[str]] = field(default_factory=dict)
    sign: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """M, the number of images."""
        return len(self.index)

    def changed(self, notes: tuple[str, ...] = (), **values: object) -> Rows:
        """A copy with other values and more notes."""
        return replace(self, notes=(*self.notes, *notes), **values)  # type: ignore[arg-type]


def one_pixel_size(sizes: NDArray[np.float64] | None, problems: Problems) -> float | None:
    """The one pixel size of all rows (Å), None where the file states none. Anything else is a problem (and nan)."""
    if sizes is None:
        return None
    good = np.isfinite(sizes) & (sizes > 0)
    if not good.all():
        problems.add(f"pixel size: expected Å above 0, found {some(np.unique(sizes[~good]), 3)}; correct the file")
        return float("nan")
    if sizes.max() > sizes.min() * (1 + 1e-4):
        found = some((f"{s:.5g}" for s in np.unique(sizes)), 6)
        problems.add(
            f"pixel sizes differ: {found} Å; keep the particles of one of them, or rescale all to one pixel size"
        )
        return float("nan")
    return float(sizes[0])


def one_box(boxes: NDArray[np.float64] | None, in_stacks: int | None, problems: Problems) -> int:
    """The box in pixels: the stacks' own, else what the file states (0 where neither does)."""
    stated = [] if boxes is None else [int(b) for b in np.unique(boxes[np.isfinite(boxes)])]
    if len(stated) > 1:
        problems.add(f"box sizes differ: {some(stated)} px; extract all particles with one box")
    elif in_stacks is not None and stated and stated[0] != in_stacks:
        problems.add(f"box size: the metadata state {stated[0]} px, the stack holds {in_stacks} px; wrong stack?")
    elif in_stacks is None and stated and stated[0] % 2:
        problems.add(f"box size: expected an even number, found {stated[0]} px; crop the images by one pixel")
    return in_stacks if in_stacks is not None else (stated[0] if stated else 0)


def check_numbers(name: str, values: NDArray, problems: Problems) -> NDArray[np.float64]:
    """Values as float64; those that are not finite become a problem."""
    values = np.ascontiguousarray(values, dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
    if len(bad):
        problems.add(f"{name}: expected finite numbers, found NaN or infinity in {len(bad)} rows (row {some(bad + 1)})")
    return values


def check_optics(voltage: NDArray[np.float64], contrast: NDArray[np.float64], problems: Problems) -> None:
    """Voltage (kV) above 0 and amplitude contrast within -1 … 1, or a problem."""
    if (voltage <= 0).any():
        problems.add(f"voltage: expected kV above 0, found {some(np.unique(voltage[voltage <= 0]))}; correct the file")
    if (np.abs(contrast) > 1).any():
        problems.add(f"amplitude contrast: expected -1 to 1, found {some(np.unique(contrast), 3)}; correct the file")
