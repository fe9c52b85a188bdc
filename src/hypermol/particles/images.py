"""Where batches come from: prepared images, in memory where they fit, else streamed from the stacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from hypermol.errors import DataError
from hypermol.imaging.lattice import Lattice
from hypermol.particles.assemble import Tables, assemble, tables
from hypermol.particles.batch import Batch
from hypermol.particles.calibrate import calibrate
from hypermol.particles.memory import free_memory
from hypermol.particles.model import Particles
from hypermol.particles.order import pass_order
from hypermol.particles.prefetch import prefetched
from hypermol.particles.prepare import Calibration, Preparation, check_preparation, prepare
from hypermol.particles.problems import listing
from hypermol.particles.raw import (
    SMALLEST_CHUNK_BYTES,
    Unfit,
    open_stacks,
    raw_chunks,
    sample_images,
    storage_order,
    unfit_in_words,
)
from hypermol.particles.stack import StackReader
from hypermol.shapes import Float

CHUNK_BYTES = 16 << 20
CALIBRATION_BYTES = 4 << 20
_PACKED_BYTES = 8
_BATCH_BYTES = 64  # per pixel: a batch in use, the next, and the phases of its CTF in double precision
Segment = tuple[NDArray[np.int64], torch.Tensor, list[NDArray[np.int64]]]


@dataclass(frozen=True, eq=False)
class ImageSource:
    """Prepared images of a particle set, handed out as batches of whole particles on ``device``.

    Nothing is read until something is asked for; ``load_all`` does it now. Packed images are kept on the device
    where they fit, else in the host's memory, else they are read again in each pass, ahead of their use.
    ``memory_limit_bytes`` bounds packed images and buffers (default: half of what is free). What batches
    contain, and their order, never depends on it.
    """

    particles: Particles
    preparation: Preparation = field(default_factory=Preparation)
    memory_limit_bytes: int | None = None
    device: str | torch.device = "cpu"

    @cached_property
    def box(self) -> int:
        """Pixels of the images after cropping."""
        return check_preparation(self.preparation, self.particles.box)

    @cached_property
    def lattice(self) -> Lattice:
        """The Fourier pixels of the images, on the device."""
        return Lattice.disc(self.box, device=self.device)

    @property
    def pixel_size(self) -> float:
        """Å per pixel after cropping, exactly p·D/D′."""
        return self.particles.pixel_size * self.particles.box / self.box

    @property
    def calibration(self) -> Calibration:
        """Normalisation, sign and noise, from a seeded sample of the images. Raises DataError for unfit ones (all
        of the set where it fits in memory, not only those of the sample)."""
        calibration, bad = self._calibrated
        if bad and self.storage is not None:
            self._prepare_all(None)
        self._refuse(bad)
        return calibration

    @property
    def noise(self) -> Float[torch.Tensor, "groups shells"]:
        """σ²(|k|) per optics group and shell (DESIGN §2), Float32 [G, S]."""
        return self.calibration.noise

    @property
    def notes(self) -> tuple[str, ...]:
        """In words: the contrast sign and where images are kept."""
        size = f"{self.packed_bytes / 1e9:.1f} GB" if self.packed_bytes >= 1e9 else f"{self.packed_bytes / 1e6:.1f} MB"
        if self.storage is None:
            place = f"are read again from disk in each pass ({size} are too large for the memory given)"
        else:
            place = f"are kept {'in memory' if self.storage.type == 'cpu' else 'on the GPU'} ({size})"
        return (*self._calibrated[0].notes, f"images {place}")

    @property
    def packed_bytes(self) -> int:
        """Bytes of all packed images."""
        return self.particles.images * self.lattice.size * _PACKED_BYTES

    @cached_property
    def storage(self) -> torch.device | None:
        """Where all packed images are kept: the device, the host ("cpu"), or None where they are streamed."""
        for place in (torch.device(self.device), torch.device("cpu")):
            if self.packed_bytes <= self._limit(place):
                return place
        return None

    def load_all(self, progress: Callable[[int, int], None] | None = None) -> ImageSource:
        """Estimate the calibration and, where they fit, prepare all images now. ``progress`` is told (done, all)
        images. Raises DataError that lists all unfit images (NaN, infinite, constant)."""
        if self.storage is None:
            _ = self.calibration
        elif "_memory" not in self.__dict__:
            self.__dict__["_memory"] = self._prepare_all(progress)
        return self

    def load(self, particles: torch.Tensor | NDArray[np.int64]) -> Batch:
        """A batch of the given particles (indices Int64 [B]) in that order."""
        indices = np.asarray(particles, dtype=np.int64)
        images, valid = self.particles.images_of(indices)
        if self.storage is not None:
            return self._assemble(indices, images, valid, self._memory, images)
        wanted = np.unique(images[valid])
        return self._assemble(indices, images, valid, self._prepare_some(wanted), np.searchsorted(wanted, images))

    @property
    def count(self) -> int:
        """N, the number of particles."""
        return self.particles.count

    def image_count(self, particles: torch.Tensor) -> int:
        """How many images the given particles (Int64 [B]) have in all."""
        return int(self.particles.images_per_particle[np.asarray(particles)].sum())

    def pass_order(self, seed: int, pass_index: int, shuffle: bool) -> torch.Tensor:
        """Particles in the order of one pass, Int64 [N]; the file's order without ``shuffle``."""
        return pass_order(self.count, seed, pass_index) if shuffle else torch.arange(self.count)

    def stream(self, groups: Iterable[torch.Tensor]) -> Iterator[Batch]:
        """One batch per group of particles, prepared ahead in the background."""
        pieces = [np.asarray(group, dtype=np.int64) for group in groups]
        self.load_all()
        if self.storage is not None:
            return prefetched((self.load(piece) for piece in pieces), ahead=2)
        return self._streamed(pieces)

    def batches(self, order: torch.Tensor | NDArray[np.int64], batch_size: int, start: int = 0) -> Iterator[Batch]:
        """Batches of ``batch_size`` particles (the last may be smaller) in the given order, from batch number
        ``start`` on, prepared ahead in the background."""
        return self.stream(torch.as_tensor(order).split(batch_size)[start:])

    @cached_property
    def _readers(self) -> tuple[StackReader, ...]:
        return open_stacks(self.particles)

    @cached_property
    def _tables(self) -> Tables:
        return tables(self.particles, self.device)

    @cached_property
    def _calibrated(self) -> tuple[Calibration, Unfit]:
        bad: Unfit = {}
        sample = sample_images(self.particles, seed=self.preparation.sample_seed)
        # chunks of fixed size, so that sums do not depend on memory
        chunks = self._on_device(sample, CALIBRATION_BYTES, bad)
        return calibrate(self.particles, self.preparation, ((pixels, groups) for _, pixels, groups in chunks)), bad

    @cached_property
    def _memory(self) -> torch.Tensor:
        return self._prepare_all(None)

    def _limit(self, place: torch.device) -> int:
        return free_memory(place) // 2 if self.memory_limit_bytes is None else self.memory_limit_bytes

    @cached_property
    def _chunk_bytes(self) -> int:
        limit = self._limit(torch.device("cpu"))
        return int(np.clip(limit // 32, SMALLEST_CHUNK_BYTES, CHUNK_BYTES))

    def _refuse(self, bad: Unfit) -> None:
        if bad:
            raise DataError(listing(self.particles.path, unfit_in_words(self.particles, bad)))

    def _on_device(
        self, images: NDArray[np.int64], chunk_bytes: int, bad: Unfit
    ) -> Iterator[tuple[NDArray[np.int64], torch.Tensor, torch.Tensor]]:
        for chunk, pixels in raw_chunks(self.particles, self._readers, images, chunk_bytes, bad):
            groups = torch.from_numpy(self.particles.optics_group[chunk]).to(self.device)
            yield chunk, torch.from_numpy(pixels).to(self.device), groups

    def _prepare_all(self, progress: Callable[[int, int], None] | None) -> torch.Tensor:
        images = np.arange(self.particles.images, dtype=np.int64)
        calibration, bad = self._calibrated
        bad = {reason: set(found) for reason, found in bad.items()}
        packed = self._prepare(images, calibration, bad, self.storage, progress)
        self._refuse(bad)
        return packed

    def _prepare_some(self, images: NDArray[np.int64]) -> torch.Tensor:
        bad: Unfit = {}
        packed = self._prepare(images, self.calibration, bad, torch.device("cpu"), None)
        self._refuse(bad)
        return packed

    def _prepare(
        self,
        images: NDArray[np.int64],
        calibration: Calibration,
        bad: Unfit,
        place: torch.device | None,
        progress: Callable[[int, int], None] | None,
    ) -> torch.Tensor:
        """Packed images [n, P] for increasing image numbers; unfit ones are added to ``bad``."""
        out = torch.zeros(len(images), self.lattice.size, dtype=torch.complex64, device=place)
        done = 0
        for chunk, pixels, groups in self._on_device(storage_order(self.particles, images), self._chunk_bytes, bad):
            packed = prepare(pixels, groups, calibration, self.preparation, self.lattice)
            out[torch.from_numpy(np.searchsorted(images, chunk)).to(out.device)] = packed.to(out.device)
            done += len(chunk)
            if progress is not None:
                progress(done, len(images))
        return out

    def _streamed(self, pieces: list[NDArray[np.int64]]) -> Iterator[Batch]:
        """Batches out of segments: as many batches at a time as fit, read in the order of the disk. Three
        segments may be alive: the one in use, the one waiting, the one being read."""
        with closing(prefetched(self._segments(pieces), ahead=1)) as segments:
            for wanted, packed, members in segments:
                for piece in members:
                    images, valid = self.particles.images_of(piece)
                    yield self._assemble(piece, images, valid, packed, np.searchsorted(wanted, images))
                del packed

    def _segments(self, pieces: list[NDArray[np.int64]]) -> Iterator[Segment]:
        room = self._segment_images(max((len(piece) for piece in pieces), default=1))
        members: list[NDArray[np.int64]] = []
        images = 0
        for piece in pieces:
            count = int(self.particles.images_per_particle[piece].sum())
            if members and images + count > room:
                yield self._segment(members)
                members, images = [], 0
            members.append(piece)
            images += count
        if members:
            yield self._segment(members)

    def _segment_images(self, batch_size: int) -> int:
        """How many images a segment may hold, so that three of them, raw pixels with their transforms, and two
        batches stay within the limit."""
        images = batch_size * max(1, round(self.particles.images / self.particles.count))
        spare = self._limit(torch.device("cpu")) - 6 * self._chunk_bytes - _BATCH_BYTES * images * self.lattice.size
        return max(1, spare // (3 * _PACKED_BYTES * self.lattice.size))

    def _segment(self, members: list[NDArray[np.int64]]) -> Segment:
        images, valid = self.particles.images_of(np.concatenate(members))
        wanted = np.unique(images[valid])
        return wanted, self._prepare_some(wanted), members

    def _assemble(
        self,
        particles: NDArray[np.int64],
        images: NDArray[np.int64],
        valid: NDArray[np.bool_],
        packed: torch.Tensor,
        slots: NDArray[np.int64],
    ) -> Batch:
        slots = np.where(valid, slots, 0)
        chosen = packed[torch.from_numpy(slots).to(packed.device)]
        if chosen.device.type == "cpu" and torch.device(self.device).type == "cuda":
            chosen = chosen.pin_memory()
        chosen = chosen.to(self.device, non_blocking=True)
        noise = self._calibrated[0].noise
        return assemble(self._tables, particles, images, valid, chosen, self.lattice, self.pixel_size, noise)
