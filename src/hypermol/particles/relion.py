"""RELION star files (3.0, 3.1+, 5) and Warp/M tilt stars.

Conventions (DESIGN §2): R of (rot, tilt, psi) is ``imaging.euler_to_matrix``; shift = -origin, in Å; angles of
the CTF are degrees in the file and radians here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hypermol.imaging.ctf import CTF
from hypermol.imaging.rotations import euler_to_matrix
from hypermol.particles.problems import Problems, some
from hypermol.particles.rows import Rows, check_optics
from hypermol.particles.star import StarDocument, StarTable, read_star

ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
DEFOCUS = ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle")
OPTICS = ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast")
ABERRATIONS = ("rlnBeamTiltX", "rlnBeamTiltY", "rlnOddZernike", "rlnEvenZernike")
MAGNIFICATION = ("rlnMagMat00", "rlnMagMat01", "rlnMagMat10", "rlnMagMat11")
WORDS = (
    "rlnImageName",
    "rlnMicrographName",
    "rlnGroupName",
    "rlnTomoParticleName",
    "rlnTomoVisibleFrames",
    "rlnCtfImage",
)
NUMBERS = (
    *ANGLES, *DEFOCUS, *OPTICS,
    "rlnOriginX", "rlnOriginY", "rlnOriginXAngst", "rlnOriginYAngst", "rlnOriginZAngst",
    "rlnPhaseShift", "rlnCtfBfactor", "rlnCtfScalefactor", "rlnDetectorPixelSize", "rlnMagnification",
    "rlnImagePixelSize", "rlnPixelSize", "rlnImageSize", "rlnRandomSubset", "rlnHelicalTubeID",
    "rlnCtfDataAreCtfPremultiplied", "rlnCtfDataArePhaseFlipped", "rlnImageDimensionality",
    "rlnBeamTiltX", "rlnBeamTiltY", *MAGNIFICATION,
)  # fmt: skip


def read_relion(path: Path, problems: Problems) -> Rows | None:
    """The rows of a star file, or None where nothing could be made of it (``problems`` says why)."""
    tables = read_star(path)
    place = particle_table(tables, problems)
    sheet = None if place is None else _sheet(tables, place, problems)
    if sheet is None or place is None:
        return None
    numbers = sheet.numbers
    notes: list[str] = []
    _refuse_unreadable(sheet, problems)
    stack_names, stack, index = _image_names(tables[place], sheet.words["rlnImageName"], problems)
    ctf = _ctf(numbers, sheet.rows, problems, notes)
    rotation = _rotation(numbers, sheet.rows, problems, notes)
    shift_angst, shift_px = (None, None) if rotation is None else _shift(numbers, sheet.rows, notes)
    notes += _ignored(numbers)
    subset = numbers.get("rlnRandomSubset")
    return Rows(
        path=path,
        document=StarDocument(path, place, sheet.rows, tables[place].columns),
        stack_names=stack_names,
        stack=stack,
        index=index,
        optics_group=sheet.optics_group,
        optics_names=sheet.optics_names,
        pixel_sizes=_pixel_sizes(numbers),
        boxes=numbers.get("rlnImageSize"),
        ctf=ctf,
        rotation=rotation,
        shift_angst=shift_angst,
        shift_px=shift_px,
        halves=None if subset is None else subset - 1,
        halves_from="rlnRandomSubset",
        words=_names(sheet),
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class _Sheet:
    """The particle table: words and numbers by column, those of the optics table spread over the rows."""

    words: dict[str, list[str]]
    numbers: dict[str, NDArray[np.float64]]
    optics_group: NDArray[np.int64]
    optics_names: tuple[str, ...]
    rows: int


def particle_table(tables: Sequence[StarTable], problems: Problems) -> int | None:
    """Which block holds the particles: the one called so, else the first that names images."""
    for i, table in enumerate(tables):
        if table.name == "particles":
            return i
    for i, table in enumerate(tables):
        if "rlnImageName" in table:
            return i
    blocks = some((f"data_{t.name}" for t in tables), 8)
    problems.add(f"expected a table of particles with the column rlnImageName, found only {blocks}")
    return None


def _sheet(tables: Sequence[StarTable], place: int, problems: Problems) -> _Sheet | None:
    """The particle table joined with its optics table. None where nothing could be made of it."""
    table = tables[place]
    if "rlnImageName" not in table:
        problems.add(f"data_{table.name}: the column rlnImageName is missing: no images are named")
    if not len(table):
        problems.add(f"data_{table.name}: expected particles, found no rows")
    if problems.found:
        return None
    words, numbers = table.read(
        [n for n in (*WORDS, "rlnOpticsGroup", *OPTICS) if n in table], [n for n in NUMBERS if n in table], problems
    )
    optics = next((t for t in tables if t.name == "optics"), None)
    if problems.found and len(words["rlnImageName"]) < len(table):
        return None
    group, names, shared = _optics(table, optics, words, problems)
    numbers = {**{n: v for n, v in shared.items() if n not in numbers}, **numbers}
    kept = {n: words[n] for n in WORDS if n in words}
    return _Sheet(kept, numbers, group, names, len(table))


def _names(sheet: _Sheet) -> dict[str, list[str]]:
    """Names per row under the words of ``Rows``."""
    plain = {"micrograph": "rlnMicrographName", "group": "rlnGroupName", "particle": "rlnTomoParticleName"}
    words = {ours: sheet.words[theirs] for ours, theirs in plain.items() if theirs in sheet.words}
    tubes = sheet.numbers.get("rlnHelicalTubeID")
    if tubes is not None and "micrograph" in words:
        words["filament"] = [f"{m} {t:g}" for m, t in zip(words["micrograph"], tubes)]
    return words


def _optics(
    table: StarTable, optics: StarTable | None, words: dict[str, list[str]], problems: Problems
) -> tuple[NDArray[np.int64], tuple[str, ...], dict[str, NDArray[np.float64]]]:
    """0-based group of each row, the groups' names, and the optics columns spread over the rows."""
    rows = len(table)
    if optics is None:
        return _groups_of_30(table, words, problems)
    if "rlnOpticsGroup" not in words or "rlnOpticsGroup" not in optics:
        lacking = f"data_{optics.name if 'rlnOpticsGroup' in words else table.name}"
        problems.add(f"{lacking}: the column rlnOpticsGroup is missing, so rows cannot be tied to their optics")
        return np.zeros(rows, dtype=np.int64), ("optics",), {}
    zernike = [n for n in ("rlnOddZernike", "rlnEvenZernike") if n in optics]
    labels = [n for n in ("rlnOpticsGroup", "rlnOpticsGroupName", *zernike) if n in optics]
    texts, values = optics.read(labels, [n for n in NUMBERS if n in optics], problems)
    known = {_plain_integer(number): i for i, number in enumerate(texts["rlnOpticsGroup"])}
    found = [_plain_integer(number) for number in words["rlnOpticsGroup"]]
    group = np.array([known.get(number, -1) for number in found], dtype=np.int64)
    if (group < 0).any():
        unknown = sorted({found[i] for i in np.flatnonzero(group < 0)})
        problems.add(
            f"rlnOpticsGroup: expected one of {some(known, 8)} (data_optics), found {some(unknown)} in "
            f"{int((group < 0).sum())} rows; add the group to data_optics or correct the rows"
        )
        group = np.maximum(group, 0)
    names = tuple(texts.get("rlnOpticsGroupName", [f"opticsGroup{n}" for n in known]))
    values |= {n: np.array([float(_is_nonzero_list(text)) for text in texts[n]]) for n in zernike}
    return group, names, {n: column[group] for n, column in values.items() if len(column)}


def _groups_of_30(
    table: StarTable, words: dict[str, list[str]], problems: Problems
) -> tuple[NDArray[np.int64], tuple[str, ...], dict[str, NDArray[np.float64]]]:
    """A 3.0 file has no optics table: rows of equal voltage, Cs and amplitude contrast form a group."""
    rows = len(table)
    if "rlnOpticsGroup" in words:
        problems.add("the rows name optics groups (rlnOpticsGroup), but the block data_optics is missing")
    present = [words[n] for n in OPTICS if n in words]
    keys = list(zip(*present)) if present else [()] * rows
    known = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    group = np.array([known[key] for key in keys], dtype=np.int64)
    names = tuple("optics " + " ".join(key) if key else "optics" for key in known)
    return group, names, {}


def _image_names(
    table: StarTable, names: Sequence[str], problems: Problems
) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64]]:
    known: dict[str, int] = {}
    stack, index = np.empty(len(names), dtype=np.int64), np.empty(len(names), dtype=np.int64)
    odd = []
    for i, name in enumerate(names):
        number, at, file = name.partition("@")
        if not at:
            number, file = "1", name  # RELION: a name without number is a file with one image
        if not number.isdigit() or not file:
            odd.append(f"{name!r} in line {table.numbers[i]}")
            number = "1"
        stack[i] = known.setdefault(file, len(known))
        index[i] = int(number) - 1
    if odd:
        problems.add(f"rlnImageName: expected names like 000001@stack.mrcs, found {some(odd)}")
    return tuple(known), stack, index


def _plain_integer(word: str) -> str:
    """Some programs write the group number as 1.000000."""
    whole, _, fraction = word.partition(".")
    return str(int(whole)) if whole.isdigit() and not fraction.strip("0") else word


def _is_nonzero_list(text: str) -> bool:
    try:
        return any(float(v) != 0 for v in text.strip("[]").split(",") if v)
    except ValueError:
        return True


def _refuse_unreadable(sheet: _Sheet, problems: Problems) -> None:
    """Data that would be misread: CTF-premultiplied images, 3-D subtomograms, stacks without image numbers."""
    numbers = sheet.numbers
    if (numbers.get("rlnCtfDataAreCtfPremultiplied", np.zeros(1)) > 0).any():
        problems.add_convention(
            "rlnCtfDataAreCtfPremultiplied: the images are multiplied by their CTF, and would be corrected "
            "twice; extract them again without premultiplication"
        )
    if (numbers.get("rlnCtfDataArePhaseFlipped", np.zeros(1)) > 0).any():
        problems.add_convention(
            "rlnCtfDataArePhaseFlipped: the phases of the images are flipped already, and would be corrected twice; "
            "extract them again without phase flipping"
        )
    volumes = (numbers.get("rlnImageDimensionality", np.full(1, 2)) == 3).any()
    if volumes or "rlnCtfImage" in sheet.words:
        problems.add_convention(
            f"{'rlnImageDimensionality' if volumes else 'rlnCtfImage'}: 3-D subtomograms were found, and hypermol "
            "reads 2-D images: export the tilt images of each particle with one row per image (Warp/M do)"
        )
    elif "rlnTomoVisibleFrames" in sheet.words:
        problems.add_convention(
            "rlnTomoVisibleFrames: each row names a whole stack of tilt images whose poses and CTF stand in "
            "other files; expand it to one row per tilt image (as Warp/M write it)"
        )


def _ctf(numbers: dict[str, NDArray[np.float64]], rows: int, problems: Problems, notes: list[str]) -> CTF | None:
    """The CTF of each image, or None where the file has none of its columns."""
    needed = (*DEFOCUS, "rlnVoltage", "rlnSphericalAberration")
    if not any(name in numbers for name in needed):
        notes.append("no CTF columns: the images are taken to carry no CTF")
        return None
    missing = [n for n in needed if n not in numbers]
    if missing:
        problems.add(f"columns of the CTF are missing: {some(missing)}; estimate the CTF, or join the file that has it")
        return None
    if "rlnAmplitudeContrast" not in numbers:
        notes.append("rlnAmplitudeContrast is missing; 0.1 is assumed (RELION would take 0)")
    zero = np.zeros(rows)
    contrast = numbers.get("rlnAmplitudeContrast", zero + 0.1)
    check_optics(numbers["rlnVoltage"], contrast, problems)
    if problems.found:
        return None
    return CTF.create(
        defocus_u=numbers["rlnDefocusU"],
        defocus_v=numbers["rlnDefocusV"],
        astigmatism_angle=np.deg2rad(numbers["rlnDefocusAngle"]),
        voltage_kv=numbers["rlnVoltage"],
        cs_mm=numbers["rlnSphericalAberration"],
        amplitude_contrast=contrast,
        phase_shift=np.deg2rad(numbers.get("rlnPhaseShift", zero)),
        b_factor=_damping(numbers.get("rlnCtfBfactor", zero), notes),
        scale=numbers.get("rlnCtfScalefactor", zero + 1),
    )


def _damping(b_factor: NDArray[np.float64], notes: list[str]) -> NDArray[np.float64]:
    """B-factors as exp(-B s²/4) has them, Å². Warp and M write -4 × dose for damping; taken literally, it amplifies."""
    if (b_factor < 0).any() and (b_factor <= 0).all():
        notes.append("rlnCtfBfactor is negative throughout, as Warp and M write the dose: read as damping, B = -value")
        return -b_factor
    return b_factor


def _rotation(
    numbers: dict[str, NDArray[np.float64]], rows: int, problems: Problems, notes: list[str]
) -> NDArray[np.float64] | None:
    """R of each image, [M, 3, 3], or None where the file has no poses."""
    present = [n for n in ANGLES if n in numbers]
    if "rlnAngleRot" not in present and "rlnAngleTilt" not in present:
        notes.append("no poses" + (" (only the in-plane angle rlnAnglePsi)" if present else ""))
        return None
    if len(present) < 3:
        missing = [n for n in ANGLES if n not in numbers]
        problems.add(f"an angle is missing: expected {', '.join(ANGLES)}, found no {some(missing)}; correct the file")
        return None
    angles = [torch.as_tensor(numbers[n]) for n in ANGLES]
    if rows > 1 and all(bool((a == a[0]).all()) for a in angles):
        notes.append("all angles are the same: the file may come from before a refinement")
    return euler_to_matrix(*angles).numpy()


def _shift(
    numbers: dict[str, NDArray[np.float64]], rows: int, notes: list[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shifts stated in Å (3.1 and later) and in pixels (3.0), each [M, 2]."""
    angst, px = np.zeros((rows, 2)), np.zeros((rows, 2))
    for axis, letter in enumerate("XY"):
        if f"rlnOrigin{letter}Angst" in numbers:
            angst[:, axis] = -numbers[f"rlnOrigin{letter}Angst"]
        elif f"rlnOrigin{letter}" in numbers:
            px[:, axis] = -numbers[f"rlnOrigin{letter}"]
    if not any(f"rlnOriginX{unit}" in numbers for unit in ("", "Angst")):
        notes.append("angles without origins: shifts are taken as zero")
    if (numbers.get("rlnOriginZAngst", np.zeros(1)) != 0).any():
        notes.append("rlnOriginZAngst is ignored: it does not move a 2-D image")
    return angst, px


def _pixel_sizes(numbers: dict[str, NDArray[np.float64]]) -> NDArray[np.float64] | None:
    if "rlnImagePixelSize" in numbers:
        return numbers["rlnImagePixelSize"]
    if "rlnDetectorPixelSize" in numbers and "rlnMagnification" in numbers:
        with np.errstate(divide="ignore", invalid="ignore"):
            return numbers["rlnDetectorPixelSize"] * 1e4 / numbers["rlnMagnification"]
    return numbers.get("rlnPixelSize")


def _ignored(numbers: dict[str, NDArray[np.float64]]) -> list[str]:
    """In words, what the file states and hypermol does not use."""
    notes = []
    if any((numbers[n] != 0).any() for n in ABERRATIONS if n in numbers):
        notes.append("beam tilt and higher aberrations (rlnBeamTilt, rlnOddZernike, rlnEvenZernike) are ignored")
    identity = dict(zip(MAGNIFICATION, (1.0, 0.0, 0.0, 1.0)))
    if any((numbers[n] != v).any() for n, v in identity.items() if n in numbers):
        notes.append("anisotropic magnification (rlnMagMat) is ignored")
    return notes
