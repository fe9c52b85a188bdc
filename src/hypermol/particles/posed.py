"""The original file with poses that were found, its other columns in place, so that it goes on to any program; for a
plain stack a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hypermol.imaging import image_rotations, image_shifts, matrix_to_euler, matrix_to_rotvec
from hypermol.particles.cryosparc import CsDocument
from hypermol.particles.model import Particles
from hypermol.particles.relion import ANGLES
from hypermol.particles.star import StarDocument, quoted_word, write_text


def write_posed(
    particles: Particles,
    rotation: NDArray,
    shift: NDArray,
    out: Path,
    group: NDArray | None = None,
    contrast: NDArray | None = None,
    defocus_change_angstrom: NDArray | None = None,
) -> None:
    """Write the particles with these poses (rotation [N, 3, 3]; shift [N, 2 or 3], Å) and their half sets; with a
    ``group`` [g, 3, 3] of rotations that leave the molecule as it is, each particle g times, in every equivalent pose.
    ``contrast`` [N] multiplies the scale of the CTF, ``defocus_change_angstrom`` [N] is added to both its defoci.

    Star: rlnAngleRot, -Tilt, -Psi, rlnOriginXAngst, -YAngst (pixels in files of RELION 3.0), rlnRandomSubset,
    rlnCtfScalefactor, rlnDefocusU, -V; cs: alignments3D/pose, shift, psize_A, split, ctf/scale, df1_A, df2_A. For a
    plain stack a star file is made.
    """
    images = np.argsort(particles.row, kind="stable")
    owner = particles.image_particle[images]
    turned, moved = _of_images(particles, rotation, shift)
    turned, moved, half = turned[images], moved[images], particles.half[owner]
    rows, document = particles.row[images], particles.document
    optics = _optics(particles, images, contrast, defocus_change_angstrom)
    if group is not None:
        turned = (turned[:, None] @ group).reshape(-1, 3, 3)
        moved, half, rows, images = (np.repeat(each, len(group), axis=0) for each in (moved, half, rows, images))
        optics = {names: np.repeat(values, len(group), axis=0) for names, values in optics.items()}
    if isinstance(document, StarDocument):
        columns = _star_columns(document.columns, turned, moved, half, particles.pixel_size)
        columns |= {star: [f"{v:.6f}" for v in values] for (star, _), values in optics.items()}
        document.write_columns(rows, columns, out)
    elif isinstance(document, CsDocument):
        fields = _cs_fields(turned, moved, half, particles.pixel_size)
        fields |= {cs: values.astype(np.float32) for (_, cs), values in optics.items()}
        document.write_fields(rows, fields, out)
    else:
        columns = _star_columns((), turned, moved, half, particles.pixel_size)
        write_text(out, _new_star(particles, images, columns))


def posed_name(particles: Particles) -> str:
    """What ``write_posed`` writes, as a run folder calls it: a cs file of one, a star file of all else."""
    return "particles.cs" if isinstance(particles.document, CsDocument) else "particles.star"


def optics_of(estimates: Mapping[str, NDArray]) -> dict[str, NDArray | None]:
    """What a run found of contrast and defocus, as ``write_posed`` takes it."""
    return {name: estimates.get(name) for name in ("contrast", "defocus_change_angstrom")}


def _optics(
    particles: Particles, images: NDArray, contrast: NDArray | None, change: NDArray | None
) -> dict[tuple[str, str], NDArray]:
    """What is new of the CTF of some images, under its names in star and cs files; nothing where they carry none."""
    if particles.ctf is None:
        return {}
    owner, found = particles.image_particle[images], {}
    if contrast is not None:
        found["rlnCtfScalefactor", "ctf/scale"] = particles.ctf.scale.numpy()[images] * contrast[owner]
    if change is not None:
        found["rlnDefocusU", "ctf/df1_A"] = particles.ctf.defocus_u.numpy()[images] + change[owner]
        found["rlnDefocusV", "ctf/df2_A"] = particles.ctf.defocus_v.numpy()[images] + change[owner]
    return found


def _of_images(particles: Particles, rotation: NDArray, shift: NDArray) -> tuple[NDArray, NDArray]:
    """Poses of images: R_ij = A_ij R_i, t_ij = [A_ij τ_i]_xy + s_ij."""
    owner = particles.image_particle
    turned, moved = (torch.from_numpy(values[owner].astype(np.float64))[:, None] for values in (rotation, shift))
    tilt = torch.eye(3, dtype=torch.float64).expand(len(owner), 1, 3, 3)
    own = torch.zeros(len(owner), 1, 2, dtype=torch.float64)
    if particles.tilt is not None:
        tilt = torch.from_numpy(particles.tilt)[:, None].double()
    if particles.image_shift is not None:
        own = torch.from_numpy(particles.image_shift)[:, None].double()
    return image_rotations(turned, tilt)[:, 0, 0].numpy(), image_shifts(moved, tilt, own)[:, 0, 0].numpy()


def _star_columns(
    known: Sequence[str], rotation: NDArray, shift: NDArray, half: NDArray, pixel_size: float
) -> dict[str, list[str]]:
    old = bool(known) and "rlnOpticsGroup" not in known
    in_pixels = "rlnOriginXAngst" not in known and ("rlnOriginX" in known or old)
    angles = matrix_to_euler(torch.from_numpy(rotation)).numpy()
    origin = -shift / pixel_size if in_pixels else -shift
    ending = "" if in_pixels else "Angst"
    columns = {name: [f"{v:.6f}" for v in angles[:, i]] for i, name in enumerate(ANGLES)}
    columns |= {f"rlnOrigin{axis}{ending}": [f"{v:.6f}" for v in origin[:, i]] for i, axis in enumerate("XY")}
    return columns | {"rlnRandomSubset": [str(int(h) + 1) for h in half]}


def _new_star(particles: Particles, images: NDArray, columns: Mapping[str, Sequence[str]]) -> str:
    """A star file (RELION 3.1) of images of a plain stack."""
    stacks = [path.resolve() for path in particles.stacks]
    place = zip(particles.image_index[images] + 1, particles.image_stack[images], strict=True)
    names = [f"{section:06d}@{stacks[stack]}" for section, stack in place]
    optics = {"rlnOpticsGroup": "1", "rlnOpticsGroupName": "opticsGroup1"}
    optics |= {"rlnImagePixelSize": f"{particles.pixel_size:.6f}", "rlnImageSize": f"{particles.box}"}
    rows = {"rlnImageName": names, "rlnOpticsGroup": ["1"] * len(names), **columns}
    optics_table = _table("optics", {name: [word] for name, word in optics.items()} | {"rlnImageDimensionality": ["2"]})
    return optics_table + _table("particles", rows)


def _table(name: str, columns: Mapping[str, Sequence[str]]) -> str:
    header = [f"_{column} #{number}" for number, column in enumerate(columns, start=1)]
    rows = [" ".join(quoted_word(word) for word in words) for words in zip(*columns.values(), strict=True)]
    return "\n".join(["", f"data_{name}", "", "loop_", *header, *rows, "", ""])


def _cs_fields(rotation: NDArray, shift: NDArray, half: NDArray, pixel_size: float) -> dict[str, NDArray]:
    vector = matrix_to_rotvec(torch.from_numpy(rotation.transpose(0, 2, 1).copy())).numpy()
    return {
        "alignments3D/pose": vector.astype(np.float32),
        "alignments3D/shift": (-shift / pixel_size).astype(np.float32),
        "alignments3D/psize_A": np.full(len(shift), pixel_size, np.float32),
        "alignments3D/split": half.astype(np.uint32),
    }
