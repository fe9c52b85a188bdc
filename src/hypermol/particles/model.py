"""What is known of a set of particle images: where each image lies and what it was recorded with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hypermol.errors import DataError
from hypermol.particles.tilts import first_images

if TYPE_CHECKING:
    from hypermol.imaging.ctf import CTF

PER_IMAGE = ("image_stack", "image_index", "optics_group", "row", "tilt", "image_shift")
PER_PARTICLE = ("rotation", "shift", "half")


class Document(Protocol):
    """The original file, able to write itself again with fewer rows and nothing else changed."""

    def write_rows(self, rows: NDArray[np.int64], out: Path) -> None:
        """Write the rows (0-based, in increasing order) to ``out``."""


@dataclass(frozen=True, eq=False)
class Particles:
    """N particles with M images (M = N in single-particle data; more for tilt pairs and tilt series).

    Arrays are numpy, the CTF is torch (float64). All indices are 0-based. Image j of particle i obeys

        R_ij = tilt_j rotation_i,    t_ij = [tilt_j shift_i]_xy + image_shift_j    (Å)

    path          the file that was read
    document      handle that can write a selection of its rows, or None
    stacks        the .mrcs files; image m is section ``image_index[m]`` of ``stacks[image_stack[m]]``
    image_particle  int64 [M], the particle of each image; a particle's images need not be neighbours
    row           int64 [M], the row of the file that describes each image
    box, pixel_size  pixels, Å
    optics_group  int64 [M], index into ``optics_names``
    ctf           CTF of batch shape [M], or None where the images carry no CTF
    rotation      float64 [N, 3, 3] molecule to microscope, or None without poses
    shift         float64 [N, 2] Å, or [N, 3] when particles have several images
    tilt          float64 [M, 3, 3] (A_ij), or None (identity)
    image_shift   float64 [M, 2] Å (s_ij), or None (zero)
    half          int8 [N], 0 or 1;  ``half_source`` says in words where it came from
    micrograph    name per image, or None;  ``group`` likewise (rlnGroupName)
    sign          the contrast sign that the file states: images times ``sign`` are bright particles; or None
    notes         warnings in words: what was assumed, ignored or looked odd
    """

    path: Path
    document: Document | None
    stacks: tuple[Path, ...]
    image_stack: NDArray[np.int64]
    image_index: NDArray[np.int64]
    image_particle: NDArray[np.int64]
    row: NDArray[np.int64]
    box: int
    pixel_size: float
    optics_group: NDArray[np.int64]
    optics_names: tuple[str, ...]
    ctf: CTF | None
    rotation: NDArray[np.float64] | None
    shift: NDArray[np.float64] | None
    tilt: NDArray[np.float64] | None
    image_shift: NDArray[np.float64] | None
    half: NDArray[np.int8]
    half_source: str
    micrograph: tuple[str, ...] | None = None
    group: tuple[str, ...] | None = None
    sign: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """N, the number of particles."""
        return len(self.half)

    @property
    def images(self) -> int:
        """M, the number of images."""
        return len(self.image_index)

    @property
    def has_poses(self) -> bool:
        """Whether rotations (and shifts) are known."""
        return self.rotation is not None

    @property
    def shift_dim(self) -> int:
        """Components of a shift that the images tell: 3 where any was taken at a tilt (A_ij ≠ 1) or any particle has
        several, else 2. A flat image among them leaves the depth of its particle as it is."""
        tilted = self.tilt is not None and not (self.tilt == np.eye(3)).all()
        return 3 if tilted or self.images > self.count else 2

    @cached_property
    def images_per_particle(self) -> NDArray[np.int64]:
        """How many images each particle has, int64 [N]."""
        return np.bincount(self.image_particle, minlength=self.count).astype(np.int64)

    @cached_property
    def first_image(self) -> NDArray[np.int64]:
        """The first image of each particle, int64 [N]."""
        return first_images(self.image_particle)

    @cached_property
    def _by_particle(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        order = np.argsort(self.image_particle, kind="stable").astype(np.int64)
        first = np.concatenate([[0], np.cumsum(self.images_per_particle)]).astype(np.int64)
        return order, first

    def images_of(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The images of some particles, in file order: int64 [B, J] and validity bool [B, J].

        J is the most images that any of them has; where not valid the image index is 0.
        """
        order, first = self._by_particle
        indices = np.asarray(indices, dtype=np.int64)
        counts = self.images_per_particle[indices]
        slots = np.arange(int(counts.max(initial=1)), dtype=np.int64)
        valid = slots[None, :] < counts[:, None]
        where = np.where(valid, first[indices][:, None] + slots[None, :], 0)
        return np.where(valid, order[where], 0), valid

    def subset(self, indices: NDArray[np.int64]) -> Particles:
        """The given particles, in the given order, with their images in file order.

        Stacks, optics groups and the original document are kept, so a subset can still be written back.
        Raises DataError for a number that does not exist or is given twice.
        """
        indices = np.asarray(indices, dtype=np.int64)
        if len(np.unique(indices)) < len(indices) or ((indices < 0) | (indices >= self.count)).any():
            raise DataError(f"{self.path}: a subset names each particle once, by a number from 0 to {self.count - 1}")
        new_number = np.full(self.count, -1, dtype=np.int64)
        new_number[indices] = np.arange(len(indices))
        keep = np.flatnonzero(new_number[self.image_particle] >= 0)
        changes: dict[str, Any] = {"image_particle": new_number[self.image_particle[keep]]}
        for name in PER_IMAGE:
            value = getattr(self, name)
            changes[name] = None if value is None else value[keep]
        for name in PER_PARTICLE:
            value = getattr(self, name)
            changes[name] = None if value is None else value[indices]
        for name in ("micrograph", "group"):
            value = getattr(self, name)
            changes[name] = None if value is None else tuple(value[i] for i in keep)
        changes["ctf"] = None if self.ctf is None else self.ctf[keep]
        return replace(self, **changes)

    def image_name(self, image: int) -> str:
        """An image in words, 1-based as in a star file: ``000012@stack.mrcs``."""
        return f"{int(self.image_index[image]) + 1:06d}@{self.stacks[int(self.image_stack[image])]}"
