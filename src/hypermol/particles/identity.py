"""Which images these are: a fingerprint that is cheap for any size of data set."""

from __future__ import annotations

import hashlib

import numpy as np

from hypermol.errors import DataError
from hypermol.particles.model import Particles
from hypermol.particles.raw import open_stacks, read_raw, storage_order

SAMPLED = 64
"""Images whose pixels count."""


def images_fingerprint(particles: Particles) -> str:
    """SHA-256 of the box, the number of images, the size in bytes of every stack, and the pixels of ``SAMPLED`` images
    drawn by a fixed seed (all, where there are fewer): the same wherever the files lie and whenever they were copied.

    Other images of the same sizes are told apart unless they are equal in the sample: two sets made anew always are
    (another seed, noise or molecule), a few images changed in a large set may not be. Raises DataError where a stack
    cannot be read.
    """
    try:
        sizes = [path.stat().st_size for path in particles.stacks]
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read as a stack ({error.strerror})") from None
    digest = hashlib.sha256(np.array([particles.box, particles.images, *sizes], dtype="<i8").tobytes())
    drawn = np.arange(particles.images)
    if len(drawn) > SAMPLED:
        drawn = np.unique(np.random.default_rng(0).integers(particles.images, size=SAMPLED))
    pixels = read_raw(particles, open_stacks(particles), storage_order(particles, drawn))
    digest.update(np.ascontiguousarray(pixels, dtype="<f4").tobytes())
    return digest.hexdigest()
