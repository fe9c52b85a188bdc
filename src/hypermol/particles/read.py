"""Reading particles: a RELION or Warp star file, a cryoSPARC .cs file, or a plain .mrcs stack."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hypermol.errors import DataError
from hypermol.particles.cryodrgn import with_ctf, with_poses
from hypermol.particles.cryosparc import read_cryosparc
from hypermol.particles.halves import hashed_halves, stated_halves
from hypermol.particles.locate import Stacks, check_sections, find_stacks
from hypermol.particles.model import Particles
from hypermol.particles.problems import Problems
from hypermol.particles.relion import read_relion
from hypermol.particles.rows import Rows, one_box, one_pixel_size
from hypermol.particles.stack import StackReader
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
    path, folder = Path(path), None if datadir is None else Path(datadir)
    problems = Problems(path)
    if folder is not None and not folder.is_dir():
        raise DataError(f"--datadir {folder}: expected a folder, found none")
    rows = _read_rows(path, [Path(p) for p in passthrough], problems)
    if rows is None:
        problems.raise_if_any()
        raise DataError(f"{path}: no particles could be read")
    stacks = find_stacks(rows.stack_names, path, folder, problems, require_images)
    check_sections(stacks, rows.stack, rows.index, problems)
    box = one_box(rows.boxes, stacks.box, problems)
    if poses is not None:
        rows = with_poses(rows, Path(poses), box, problems)
    if ctf is not None:
        rows = with_ctf(rows, Path(ctf), box, problems)
    notes = list(dict.fromkeys((*_still_true(rows), *stacks.notes)))
    size = _choose_pixel_size(pixel_size, rows, stacks, problems, notes)
    problems.raise_if_any()
    return _particles(rows, stacks, box, size, half_seed, notes)


def _read_rows(path: Path, passthrough: list[Path], problems: Problems) -> Rows | None:
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise DataError(f"{path}: expected a particle file (.star, .cs or .mrcs), found {found}")
    if passthrough and path.suffix != ".cs":
        raise DataError(f"{path}: --passthrough joins .cs files; it does not apply to {path.suffix} files")
    if path.suffix == ".star":
        return read_relion(path, problems)
    if path.suffix == ".cs":
        return read_cryosparc(path, passthrough, problems)
    if path.suffix in STACK_SUFFIXES:
        return _stack_rows(path)
    hint = "; give the .cs files that it lists" if path.suffix == ".csg" else ""
    raise DataError(f"{path}: expected a .star, .cs or .mrcs file, found the ending {path.suffix!r}{hint}")


def _stack_rows(path: Path) -> Rows:
    count = StackReader(path).header.sections
    zero = np.zeros(count, dtype=np.int64)
    return Rows(
        path=path,
        document=None,
        stack_names=(path.name,),
        stack=zero,
        index=np.arange(count, dtype=np.int64),
        optics_group=zero,
        optics_names=("optics",),
        notes=("no poses", "no CTF: the images are taken to carry no CTF"),
    )


def _still_true(rows: Rows) -> list[str]:
    """The notes, without those that a pickle of poses or CTF has overtaken."""
    gone = [*(["no poses"] if rows.rotation is not None else []), *(["no CTF"] if rows.ctf is not None else [])]
    return [note for note in rows.notes if not any(note.startswith(start) for start in gone)]


def _particles(rows: Rows, stacks: Stacks, box: int, size: float, half_seed: int, notes: list[str]) -> Particles:
    particle, sentence = join_images(rows.words, rows.halves, rows.rotation, rows.count)
    rotation, shift, tilt, image_shift = _poses_of_particles(particle, rows, size)
    half, half_source = _halves(rows, particle, half_seed)
    micrograph, group = rows.words.get("micrograph"), rows.words.get("group")
    return Particles(
        path=rows.path,
        document=rows.document,
        stacks=stacks.paths,
        image_stack=rows.stack,
        image_index=rows.index,
        image_particle=particle,
        row=np.arange(rows.count, dtype=np.int64),
        box=box,
        pixel_size=size,
        optics_group=rows.optics_group,
        optics_names=rows.optics_names,
        ctf=rows.ctf,
        rotation=rotation,
        shift=shift,
        tilt=tilt,
        image_shift=image_shift,
        half=half,
        half_source=half_source,
        micrograph=None if micrograph is None else tuple(micrograph),
        group=None if group is None else tuple(group),
        sign=rows.sign,
        notes=tuple([*notes, sentence] if sentence else notes),
    )


def _poses_of_particles(
    particle: NDArray[np.int64], rows: Rows, pixel_size: float
) -> tuple[NDArray[np.float64] | None, ...]:
    """Rotation and shift of particles, tilt and remaining shift of images."""
    if rows.rotation is None:
        return None, None, None, None
    shift = np.zeros((rows.count, 2))
    shift += 0 if rows.shift_angst is None else rows.shift_angst
    shift += 0 if rows.shift_px is None else rows.shift_px * pixel_size
    if int(particle.max()) + 1 == len(particle):
        return rows.rotation, shift, None, None
    tilt = relative_tilts(particle, rows.rotation)
    common, rest = common_shift(particle, tilt, shift)
    return rows.rotation[first_images(particle)], common, tilt, rest


def _halves(rows: Rows, particle: NDArray[np.int64], seed: int) -> tuple[NDArray[np.int8], str]:
    first = first_images(particle)
    half = stated_halves(None if rows.halves is None else rows.halves[first])
    if half is not None:
        return half, rows.halves_from
    if "filament" in rows.words:
        return hashed_halves([rows.words["filament"][i] for i in first], seed), f"hash of the filament, seed {seed}"
    names = [f"{rows.index[i]}@{Path(rows.stack_names[rows.stack[i]]).name}" for i in first]
    return hashed_halves(names, seed), f"hash of the image name, seed {seed}"


def _choose_pixel_size(given: float | None, rows: Rows, stacks: Stacks, problems: Problems, notes: list[str]) -> float:
    """Å per pixel: what the user gave, else the metadata, else the stack's header."""
    if given is not None:
        if not given > 0:
            problems.add(f"pixel size given: expected Å above 0, found {given:g}")
        return given
    stated, header = one_pixel_size(rows.pixel_sizes, problems), stacks.pixel_size
    if stated is not None:
        notes += stacks.header_notes(stated)
        return stated
    if header is None:
        problems.add(
            "no pixel size: neither the metadata nor the stack's header states one; give it (--pixel-size, in Å)"
        )
        return 0.0
    notes.append(f"the pixel size, {header:.4g} Å, was taken from the stack's header")
    return header
