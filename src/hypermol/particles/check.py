"""Looking a data set over before long work: what it is, what is odd, what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from hypermol.errors import DataError
from hypermol.particles.contrast import choose_sign, contrast_sigma
from hypermol.particles.model import Particles
from hypermol.particles.problems import listing
from hypermol.particles.raw import Unfit, open_stacks, raw_chunks, sample_images, storage_order, unfit_in_words
from hypermol.particles.stack import StackReader

EVERY_PIXEL_BYTES = 4_000_000_000
_CHUNK_BYTES = 16 << 20
_PLAUSIBLE_PIXEL = (0.1, 30.0)


@dataclass(frozen=True)
class CheckReport:
    """What was found. ``problems`` make the set unusable, ``notes`` are worth knowing.

    facts    lines about particles, poses, CTF, half-sets, contrast and pixels
    sigma    contrast of the particles in σ (positive is bright), None where no image was read
    sign     the factor that makes particles bright
    checked  how many images were read
    """

    facts: tuple[str, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    sigma: float | None
    sign: int
    checked: int
    path: str

    def lines(self) -> list[str]:
        """The report as lines to print."""
        return [
            *self.facts,
            *(f"note: {note}" for note in self.notes),
            *(f"problem: {problem}" for problem in self.problems),
        ]

    def raise_if_bad(self) -> None:
        """Raise DataError that lists all problems, if there are any."""
        if self.problems:
            raise DataError(listing(self.path, list(self.problems)))


def check_particles(
    particles: Particles,
    images: bool = True,
    *,
    every_pixel_bytes: int = EVERY_PIXEL_BYTES,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> CheckReport:
    """Check a set that has been read: every pixel of up to 4 GB, else of 1,000 images drawn by ``seed``.

    ``images=False`` looks at the metadata only. ``progress`` is told (done, all) images. Nothing is raised for bad
    data: problems are in the report.
    """
    readers = open_stacks(particles)
    facts = _facts(particles)
    known = (note for note in particles.notes if note not in facts)
    notes = [*known, *_unused_images(particles, readers, images), *_odd_metadata(particles)]
    if not images:
        return CheckReport(tuple(facts), (), tuple(notes), None, particles.sign or 1, 0, str(particles.path))
    chosen = _images_to_read(particles, readers, every_pixel_bytes, seed)
    sigma, bad = _read(particles, readers, chosen, seed, progress)
    sign, sentence = choose_sign("auto", particles.sign, sigma)
    problems = unfit_in_words(particles, bad)
    share = "all" if len(chosen) == particles.images else f"{len(chosen)} of"
    verdict = "are finite and not constant" if not problems else "were read"
    facts += [sentence, f"pixels: {share} {particles.images} images {verdict}"]
    return CheckReport(tuple(facts), tuple(problems), tuple(notes), sigma, sign, len(chosen), str(particles.path))


def _images_to_read(
    particles: Particles, readers: tuple[StackReader, ...], every_pixel_bytes: int, seed: int
) -> NDArray[np.int64]:
    used = np.bincount(particles.image_stack, minlength=len(readers))
    size = sum(int(n) * reader.header.section_bytes for n, reader in zip(used, readers) if n)
    if size > every_pixel_bytes:
        return sample_images(particles, seed=seed)
    return storage_order(particles, np.arange(particles.images))


def _read(
    particles: Particles,
    readers: tuple[StackReader, ...],
    chosen: NDArray[np.int64],
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> tuple[float, Unfit]:
    """Contrast over the seeded sample, and the unfit ones among all images read."""
    sample = np.zeros(particles.images, dtype=bool)
    sample[sample_images(particles, seed=seed)] = True
    bad: Unfit = {}
    total, count, done = 0.0, 0, 0
    for numbers, pixels in raw_chunks(particles, readers, chosen, _CHUNK_BYTES, bad):
        wanted = sample[numbers]
        if wanted.any():
            total += contrast_sigma(torch.from_numpy(pixels[wanted])) * wanted.sum() ** 0.5
            count += int(wanted.sum())
        done += len(numbers)
        if progress is not None:
            progress(done, len(chosen))
    return float(total / max(count, 1) ** 0.5), bad


def _facts(particles: Particles) -> list[str]:
    p = particles
    count = "1 particle" if p.count == 1 else f"{p.count} particles"
    several = f"{p.images} images of {count}" if p.images != p.count else count
    halves = np.bincount(p.half, minlength=2)
    facts = [
        f"{several}, {p.box} px, {p.pixel_size:.4g} Å per pixel, in {len(p.stacks)} stack{'s' * (len(p.stacks) > 1)}",
        "poses: yes" if p.has_poses else "no poses",
        _ctf_fact(p),
        f"half-sets: {halves[0]} + {halves[1]} ({p.half_source})",
    ]
    if len(p.optics_names) > 1:
        counts = np.bincount(p.optics_group, minlength=len(p.optics_names))
        groups = ", ".join(f"{name} ({n})" for name, n in zip(p.optics_names, counts))
        facts.append(f"optics groups: {len(p.optics_names)}: {groups}")
    return facts


def _ctf_fact(particles: Particles) -> str:
    if particles.ctf is None:
        return "no CTF"
    defocus = particles.ctf.mean_defocus / 1e4
    voltages = ", ".join(f"{v:g}" for v in torch.unique(particles.ctf.voltage_kv).tolist())
    return f"CTF: defocus {float(defocus.min()):.2f} to {float(defocus.max()):.2f} µm, {voltages} kV"


def _unused_images(particles: Particles, readers: tuple[StackReader, ...], images: bool) -> list[str]:
    notes = []
    named = np.unique(np.stack([particles.image_stack, particles.image_index]), axis=1)
    if named.shape[1] < particles.images:
        again = particles.images - named.shape[1]
        notes.append(f"{again} rows name an image that another row names too (symmetry expansion?)")
    if not images:
        return notes
    used = np.bincount(named[0], minlength=len(readers))
    for reader, count in zip(readers, used):
        if count and reader.header.sections > count:
            verb = "is" if count == 1 else "are"
            notes.append(f"{reader.path.name} holds {reader.header.sections} images, {count} {verb} used")
    return notes if len(notes) < 6 else [*notes[:5], f"… and {len(notes) - 5} more stacks with unused images"]


def _odd_metadata(particles: Particles) -> list[str]:
    notes = []
    low, high = _PLAUSIBLE_PIXEL
    if not low <= particles.pixel_size <= high:
        notes.append(f"a pixel size of {particles.pixel_size:.4g} Å is unusual; check it")
    if particles.shift is not None:
        far = np.abs(particles.shift).max(axis=1) > particles.box * particles.pixel_size / 2
        if far.any():
            notes.append(f"{int(far.sum())} particles are shifted by more than half the box; check the units of shifts")
    if particles.ctf is not None:
        defocus = particles.ctf.mean_defocus.numpy()
        if np.median(np.abs(defocus)) < 500:
            notes.append(f"the median defocus is {np.median(defocus):.4g} Å; is it really in Å?")
        if (defocus < 0).any():
            notes.append(f"{int((defocus < 0).sum())} images are overfocused (negative defocus)")
    halves = np.bincount(particles.half, minlength=2)
    if particles.count >= 20 and halves.min() < 0.3 * halves.sum():
        notes.append(f"the half-sets are uneven: {halves[0]} and {halves[1]} particles")
    return notes
