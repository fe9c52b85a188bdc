"""Raw pixels of a particle set, by image number, and the check that every image must pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from hypermol.particles.model import Particles
from hypermol.particles.problems import some
from hypermol.particles.stack import StackReader

SAMPLE = 1000
SAMPLE_PER_GROUP = 50
SMALLEST_CHUNK_BYTES = 1 << 20
Unfit = dict[str, set[int]]


def open_stacks(particles: Particles) -> tuple[StackReader, ...]:
    """A reader for each stack; nothing is read yet."""
    return tuple(StackReader(path) for path in particles.stacks)


def read_raw(particles: Particles, readers: Sequence[StackReader], images: NDArray[np.int64]) -> NDArray[np.float32]:
    """Pixels of some images as they are in the files, float32 [n, D, D], in the order asked for."""
    images = np.asarray(images, dtype=np.int64)
    out = np.empty((len(images), particles.box, particles.box), dtype=np.float32)
    stacks = particles.image_stack[images]
    for stack in np.unique(stacks):
        chosen = np.flatnonzero(stacks == stack)
        out[chosen] = readers[stack].read(particles.image_index[images[chosen]])
    return out


def storage_order(particles: Particles, images: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same images sorted as they lie on disk, so that neighbours are read in one go."""
    images = np.asarray(images, dtype=np.int64)
    return images[np.lexsort((particles.image_index[images], particles.image_stack[images]))]


def sample_images(particles: Particles, count: int = SAMPLE, seed: int = 0) -> NDArray[np.int64]:
    """About ``count`` images for statistics, drawn by seed, each optics group in proportion and with at least
    50 (or all it has); in storage order. The choice depends on the set and the seed only."""
    if particles.images <= count:
        return storage_order(particles, np.arange(particles.images))
    generator = np.random.default_rng([seed, 0x5A])
    chosen = []
    for group in range(len(particles.optics_names)):
        members = np.flatnonzero(particles.optics_group == group)
        share = max(SAMPLE_PER_GROUP, round(count * len(members) / particles.images))
        chosen.append(generator.choice(members, min(share, len(members)), replace=False))
    return storage_order(particles, np.concatenate(chosen))


def unfit(pixels: NDArray[np.float32]) -> dict[str, NDArray[np.int64]]:
    """Which of some images [n, D, D] cannot be used, by reason: NaN, infinite, all zero, constant."""
    low, high = pixels.min(axis=(1, 2)), pixels.max(axis=(1, 2))  # NaN goes through min and max
    nan = np.isnan(low)
    infinite = ~nan & (np.isinf(low) | np.isinf(high))
    flat = ~nan & ~infinite & (low == high)
    reasons = {"NaN": nan, "infinite": infinite, "all-zero": flat & (low == 0), "constant": flat & (low != 0)}
    return {reason: np.flatnonzero(mask) for reason, mask in reasons.items() if mask.any()}


def raw_chunks(
    particles: Particles, readers: Sequence[StackReader], images: NDArray[np.int64], chunk_bytes: int, bad: Unfit
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Image numbers and raw pixels, chunk by chunk. Unfit images are left out and added to ``bad``."""
    step = max(1, chunk_bytes // (particles.box**2 * 4))
    for first in range(0, len(images), step):
        chunk = images[first : first + step]
        pixels = read_raw(particles, readers, chunk)
        found = unfit(pixels)
        for reason, places in found.items():
            bad.setdefault(reason, set()).update(chunk[places].tolist())
        if found:
            keep = np.setdiff1d(np.arange(len(chunk)), np.concatenate(list(found.values())))
            chunk, pixels = chunk[keep], pixels[keep]
        if len(chunk):
            yield chunk, pixels


def unfit_in_words(particles: Particles, bad: Unfit) -> list[str]:
    """The unfit images (numbers by reason) as problems."""
    what = {"NaN": "pixels that are NaN", "infinite": "infinite pixels"}
    return [
        f"{len(images)} images have {what.get(reason, f'{reason} pixels')}: "
        f"{some((particles.image_name(i) for i in sorted(images)), 3)}; leave them out (hypermol select) or "
        "extract them again"
        for reason, images in bad.items()
    ]
