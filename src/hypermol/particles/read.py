"""Reading particles: a RELION or Warp star file, a cryoSPARC .cs file, or a plain .mrcs stack."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hypermol.errors import DataError
from hypermol.particles import relion
from hypermol.particles.halves import halves_of_column, hashed_halves
from hypermol.particles.locate import Stacks, check_sections, find_stacks
from hypermol.particles.model import Particles
from hypermol.particles.problems import Problems
from hypermol.particles.star import StarDocument, read_star
from hypermol.particles.tilts import common_shift, first_images, join_images, relative_tilts

STACK_SUFFIXES = (".mrcs", ".mrc", ".stk", ".st")


def read_particles(
    path: Path | str,
    datadir: Path | str | None = None,
    passthrough: Sequence[Path | str] = (),
    poses: Path | str | None = None,
    ctf: Path | str | None = None,
    *,
    pixel_size: float | None = None,
    half_seed: int = 0,
    require_images: bool = True,
) -> Particles:
    """Read the metadata of a particle set and the headers of its stacks (not the pixels: see ``check``).

    path         .star (RELION 3.0, 3.1+, 5; Warp/M tilt stars), .cs (cryoSPARC) or .mrcs/.mrc/.stk (plain stack)
    datadir      folder from which the names of stacks count
    passthrough  further .cs files, joined by uid
    poses, ctf   cryoDRGN pickles, which then replace what the file says
    pixel_size   Å, replaces what the files say
    half_seed    seed of the half-sets where the file has none
    require_images  False reads metadata whose stacks are not on this machine

    Raises DataError (ConventionError where data would be misread) that lists every problem found.
    """
    path = Path(path)
    folder = None if datadir is None else Path(datadir)
    if folder is not None and not folder.is_dir():
        raise DataError(f"--datadir {folder}: expected a folder, found none")
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise DataError(f"{path}: expected a particle file (.star, .cs or .mrcs), found {found}")
    if path.suffix == ".star":
        particles = _read_relion(path, folder, pixel_size, half_seed, require_images)
    else:
        raise DataError(f"{path}: expected a .star, .cs or .mrcs file, found the ending {path.suffix!r}")
    return particles


def _read_relion(
    path: Path, datadir: Path | None, pixel_size: float | None, half_seed: int, require_images: bool
) -> Particles:
    problems = Problems(path)
    notes: list[str] = []
    tables = read_star(path)
    place = relion.particle_table(tables, problems)
    images = None if place is None else relion.read_images(tables, place, problems)
    if images is None or place is None:
        problems.raise_if_any()
        raise DataError(f"{path}: no particles could be read")
    relion.refuse_unreadable(images, problems)
    stacks = find_stacks(images.stack_names, path, datadir, problems, require_images)
    check_sections(stacks, images.stack, images.index, problems)
    size = choose_pixel_size(pixel_size, relion.pixel_size_of(images, problems), stacks, problems, notes)
    stated = images.numbers.get("rlnImageSize")
    box = choose_box(None if stated is None else stated[0], stacks, problems)
    ctf = relion.ctf_of(images, problems, notes)
    rotation, shift = relion.poses_of(images, size or 1.0, problems, notes)
    problems.raise_if_any()
    notes += [*relion.ignored(images), *stacks.notes]
    subset = images.numbers.get("rlnRandomSubset")
    particle, sentence = join_images(images.words, subset, rotation, images.rows)
    notes += [sentence] if sentence else []
    half, half_source = _halves(images, particle, subset, half_seed)
    poses = _poses_of_particles(particle, rotation, shift)
    micrograph, group = images.words.get("rlnMicrographName"), images.words.get("rlnGroupName")
    return Particles(
        path=path,
        document=StarDocument(path, place, images.rows),
        stacks=stacks.paths,
        image_stack=images.stack,
        image_index=images.index,
        image_particle=particle,
        row=np.arange(images.rows, dtype=np.int64),
        box=box,
        pixel_size=size or 1.0,
        optics_group=images.optics_group,
        optics_names=images.optics_names,
        ctf=ctf,
        rotation=poses[0],
        shift=poses[1],
        tilt=poses[2],
        image_shift=poses[3],
        half=half,
        half_source=half_source,
        micrograph=None if micrograph is None else tuple(micrograph),
        group=None if group is None else tuple(group),
        notes=tuple(notes),
    )


def _poses_of_particles(
    particle: NDArray[np.int64], rotation: NDArray[np.float64] | None, shift: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64] | None, ...]:
    """Rotation and shift of particles, tilt and remaining shift of images."""
    if rotation is None or shift is None or int(particle.max()) + 1 == len(particle):
        return rotation, shift, None, None
    tilt = relative_tilts(particle, rotation)
    common, rest = common_shift(particle, tilt, shift)
    return rotation[first_images(particle)], common, tilt, rest


def _halves(
    images: relion.StarImages, particle: NDArray[np.int64], subset: NDArray[np.float64] | None, seed: int
) -> tuple[NDArray[np.int8], str]:
    first = first_images(particle)
    if subset is not None:
        half = halves_of_column(subset[first], 1)
        if half is not None:
            return half, "rlnRandomSubset"
    names = [f"{images.index[i]}@{images.stack_names[images.stack[i]]}" for i in first]
    source = "hash of the image name"
    tubes, micrographs = images.numbers.get("rlnHelicalTubeID"), images.words.get("rlnMicrographName")
    if tubes is not None and micrographs is not None:
        names = [f"{micrographs[i]} {int(tubes[i])}" for i in first]
        source = "hash of the filament"
    return hashed_halves(names, seed), f"{source}, seed {seed}"


def choose_pixel_size(
    given: float | None, stated: float | None, stacks: Stacks, problems: Problems, notes: list[str]
) -> float | None:
    """Å per pixel: what the user gave, else the metadata, else the stack's header."""
    if given is not None:
        if given <= 0:
            problems.add(f"pixel size given: expected Å above 0, found {given:g}")
        return given
    if stated is not None:
        header = stacks.pixel_size
        if header is not None and abs(header - stated) > 0.01 * stated:
            notes.append(
                f"the stack's header says {header:.4g} Å per pixel, the metadata {stated:.4g} Å, which is used"
            )
        return stated
    if stacks.pixel_size is None:
        problems.add("no pixel size: neither the metadata nor the stack's header states one; give it in Å per pixel")
        return None
    notes.append(f"the pixel size, {stacks.pixel_size:.4g} Å, was taken from the stack's header")
    return stacks.pixel_size


def choose_box(stated: float | None, stacks: Stacks, problems: Problems) -> int:
    """The box in pixels: the stacks' own, else what the metadata state."""
    if stacks.box is None:
        return int(stated) if stated is not None and stated > 0 else 0
    if stated is not None and int(stated) != stacks.box:
        problems.add(f"box size: the metadata state {int(stated)} px, the stack holds {stacks.box} px; wrong stack?")
    return stacks.box
