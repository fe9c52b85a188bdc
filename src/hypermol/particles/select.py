"""A selection: the original file with fewer rows, every column and block in place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hypermol.errors import DataError
from hypermol.particles.model import Particles
from hypermol.particles.problems import some
from hypermol.particles.raw import open_stacks, read_raw
from hypermol.particles.stack import StackWriter

_CHUNK = 256


def write_selection(particles: Particles, indices: ArrayLike | Sequence[int], out: Path | str) -> None:
    """Write the particles with these 0-based numbers, with all their images.

    A star or .cs file is written again line by line (row by row) with the rows of other particles left out, in
    the original order; a plain stack is written as a smaller stack. Raises DataError where a number does not
    exist, nothing is selected, ``out`` is the original, or its ending is another one.
    """
    out = Path(out)
    chosen = np.unique(np.asarray(indices, dtype=np.int64).reshape(-1))
    _check(particles, chosen, out)
    images = np.flatnonzero(np.isin(particles.image_particle, chosen))
    if particles.document is None:
        _write_stack(particles, images, out)
    else:
        particles.document.write_rows(np.unique(particles.row[images]), out)


def _check(particles: Particles, chosen: NDArray[np.int64], out: Path) -> None:
    outside = chosen[(chosen < 0) | (chosen >= particles.count)]
    if len(outside):
        raise DataError(f"{out}: particles {some(outside)} do not exist; there are {particles.count}, counted from 0")
    if not len(chosen):
        raise DataError(f"{out}: nothing is selected")
    if out.suffix != particles.path.suffix:
        raise DataError(
            f"{out}: the selection is written as the original is ({particles.path.suffix}); give it that ending"
        )
    if out.exists() and out.samefile(particles.path):
        raise DataError(f"{out}: this is the original file; choose another name for the selection")


def _write_stack(particles: Particles, images: NDArray[np.int64], out: Path) -> None:
    readers = open_stacks(particles)
    with StackWriter(out, particles.box, particles.pixel_size) as stack:
        for first in range(0, len(images), _CHUNK):
            stack.append(read_raw(particles, readers, images[first : first + _CHUNK]))
