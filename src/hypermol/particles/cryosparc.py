"""cryoSPARC .cs files: structured numpy arrays whose fields are called ``blob/*``, ``ctf/*``, ``alignments3D/*``.

Conventions (DESIGN §2, checked against cryoDRGN's parse of the same file): R = expm([pose]×)ᵀ,
t = -shift · alignments3D/psize_A (which may differ from blob/psize_A); CTF angles are radians;
images times blob/sign are bright particles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hypermol.atomic import write_with
from hypermol.errors import DataError
from hypermol.imaging.ctf import CTF
from hypermol.imaging.rotations import rotvec_to_matrix
from hypermol.particles.problems import Problems, some
from hypermol.particles.rows import Rows, check_numbers, check_optics
from hypermol.particles.tilts import number_groups

LARGEST_HEADER = 1 << 20
IGNORED = ("ctf/shift_A", "ctf/tilt_A", "ctf/trefoil_A", "ctf/tetra_A", "ctf/anisomag")
NEEDED = ("accel_kv", "cs_mm", "amp_contrast", "df1_A", "df2_A", "df_angle_rad")


def read_cs(path: Path) -> NDArray:
    """The structured array of a .cs file. Nothing pickled is ever loaded. Raises DataError for anything else."""
    try:
        with open(path, "rb") as file:
            magic = file.read(6)
            file.seek(0)
            if magic == b"\x94CSDAT":
                raise DataError(f"{path}: a compressed cryoSPARC data set; export it as a .cs file first")
            if magic != b"\x93NUMPY":
                raise DataError(f"{path}: expected a cryoSPARC .cs file (a binary table), found something else")
            data = np.lib.format.read_array(file, allow_pickle=False, max_header_size=LARGEST_HEADER)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (ValueError, TypeError, SyntaxError, EOFError, MemoryError) as error:
        reason = "it holds pickled objects, which are never loaded" if "pickle" in str(error) else "it is damaged"
        raise DataError(f"{path}: expected a cryoSPARC .cs file: {reason}; export it again") from None
    if data.dtype.names is None or data.ndim != 1:
        raise DataError(f"{path}: expected a table with named fields (uid, blob/path, …), found a plain array")
    return data


@dataclass(frozen=True)
class CsDocument:
    """A .cs file that can be written again with fewer rows; every field stays as it is."""

    path: Path
    rows: int

    def write_rows(self, rows: NDArray[np.int64], out: Path) -> None:
        """Write only these rows (0-based). Raises DataError where the file has changed since it was read."""
        self._write(self._read()[rows], out)

    def write_fields(self, rows: NDArray[np.int64], fields: Mapping[str, NDArray], out: Path) -> None:
        """Write these rows with some fields' values: in place of the old ones, or added at the end. Rows that come
        several times get a uid each; sym_expand/src_uid is the one they had."""
        data = self._read()[rows]
        whole = {name: data[name] for name in data.dtype.names or ()} | dict(fields)
        if "uid" in whole and len(np.unique(rows)) < len(rows):
            drawn = np.random.default_rng(0).integers(1, 2**63, 2 * len(rows), dtype=np.uint64)
            whole |= {"uid": np.unique(drawn)[: len(rows)], "sym_expand/src_uid": data["uid"]}
        table = np.empty(len(data), [(name, values.dtype, values.shape[1:]) for name, values in whole.items()])
        for name, values in whole.items():
            table[name] = values
        self._write(table, out)

    def _read(self) -> NDArray:
        data = read_cs(self.path)
        if len(data) != self.rows:
            raise DataError(f"{self.path}: the file has changed since it was read; read it again")
        return data

    def _write(self, data: NDArray, out: Path) -> None:
        try:
            write_with(out, lambda file: np.lib.format.write_array(file, data, allow_pickle=False))
        except OSError as error:
            raise DataError(f"{out}: cannot be written ({error.strerror or error})") from None


def read_cryosparc(path: Path, passthrough: Sequence[Path], problems: Problems) -> Rows | None:
    """The rows of a .cs file joined with its passthrough files by uid, or None where there are no images."""
    own = read_cs(path)
    fields = {name: own[name] for name in own.dtype.names or ()}
    for other in passthrough:
        _join(fields, read_cs(other), other, problems)
    missing = [n for n in ("blob/path", "blob/idx") if n not in fields]
    if missing:
        problems.add(f"no images are named ({', '.join(missing)}); give the file that has them with --passthrough")
    if not len(own):
        problems.add("expected particles, found no rows")
    if problems.found:
        return None
    names = [text.lstrip(">") for text in _texts(fields["blob/path"])]
    stack = number_groups(names)
    notes: list[str] = []
    group, group_names = _groups(fields, len(own))
    rotation, shift = _poses(fields, problems, notes)
    ctf = _ctf(fields, len(own), problems, notes)
    words = {"micrograph": _texts(fields["location/micrograph_path"])} if "location/micrograph_path" in fields else {}
    split = fields.get("alignments3D/split")
    return Rows(
        path=path,
        document=CsDocument(path, len(own)),
        stack_names=tuple(dict.fromkeys(names)),
        stack=stack,
        index=fields["blob/idx"].astype(np.int64),
        optics_group=group,
        optics_names=group_names,
        pixel_sizes=_maybe(fields, "blob/psize_A"),
        boxes=_boxes(fields, problems),
        ctf=ctf,
        rotation=rotation,
        shift_angst=shift,
        halves=None if split is None or rotation is None else split.astype(np.float64),
        halves_from="alignments3D/split",
        words=words,
        sign=_sign(fields, problems),
        notes=tuple(notes),
    )


def _join(fields: dict[str, NDArray], other: NDArray, path: Path, problems: Problems) -> None:
    """Add the fields of another file that this one lacks, row by row of equal uid."""
    names = other.dtype.names or ()
    if "uid" not in fields or "uid" not in names:
        problems.add(f"passthrough {path}: both files need the field uid to be joined")
        return
    order = np.argsort(other["uid"], kind="stable")
    place = np.searchsorted(other["uid"], fields["uid"], sorter=order)
    row = order[np.minimum(place, len(order) - 1)] if len(order) else np.zeros(len(place), dtype=np.int64)
    found = other["uid"][row] == fields["uid"] if len(order) else np.zeros(len(place), dtype=bool)
    if not found.all():
        problems.add(f"passthrough {path}: {int((~found).sum())} of {len(found)} particles (uid) are not in it")
        return
    for name in names:
        if name not in fields:
            fields[name] = other[name][row]


def _poses(
    fields: dict[str, NDArray], problems: Problems, notes: list[str]
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """R [M, 3, 3] and t [M, 2] Å, or None where the file has no 3-D alignments."""
    if "alignments3D/pose" not in fields:
        other = " (only 2-D alignments)" if "alignments2D/pose" in fields else ""
        notes.append(f"no poses: no alignments3D{other}; give the refinement's file, here or with --passthrough")
        return None, None
    size = _maybe(fields, "alignments3D/psize_A")
    size = _maybe(fields, "blob/psize_A") if size is None else size
    if size is None or "alignments3D/shift" not in fields:
        problems.add("poses without shifts: expected alignments3D/shift and alignments3D/psize_A; export again")
        return None, None
    if not (size > 0).all():
        problems.add(f"alignments3D/psize_A: expected Å above 0, found {some(np.unique(size[~(size > 0)]), 3)}")
    pose = check_numbers("alignments3D/pose", fields["alignments3D/pose"], problems)
    shift = check_numbers("alignments3D/shift", fields["alignments3D/shift"], problems)
    rotation = rotvec_to_matrix(torch.from_numpy(pose)).mT.contiguous().numpy()
    return rotation, -shift * size[:, None]


def _ctf(fields: dict[str, NDArray], rows: int, problems: Problems, notes: list[str]) -> CTF | None:
    if not any(name.startswith("ctf/") for name in fields):
        notes.append("no CTF fields: the images are taken to carry no CTF")
        return None
    missing = [f"ctf/{name}" for name in NEEDED if f"ctf/{name}" not in fields]
    if missing:
        problems.add(f"fields of the CTF are missing: {some(missing)}; give the file that has them with --passthrough")
        return None
    values = {name: check_numbers(f"ctf/{name}", fields[f"ctf/{name}"], problems) for name in NEEDED}
    phase_shift = _or(fields, "ctf/phase_shift_rad", np.zeros(rows), problems)
    b_factor = _or(fields, "ctf/bfactor", np.zeros(rows), problems)
    scale = _or(fields, "ctf/scale", np.ones(rows), problems)
    check_optics(values["accel_kv"], values["amp_contrast"], problems)
    if problems.found:
        return None
    used = [name for name in IGNORED if name in fields and (fields[name] != 0).any()]
    if used:
        notes.append(f"beam tilt, higher aberrations and anisotropic magnification are ignored ({', '.join(used)})")
    return CTF.create(
        defocus_u=values["df1_A"],
        defocus_v=values["df2_A"],
        astigmatism_angle=values["df_angle_rad"],
        voltage_kv=values["accel_kv"],
        cs_mm=values["cs_mm"],
        amplitude_contrast=values["amp_contrast"],
        phase_shift=phase_shift,
        b_factor=b_factor,
        scale=scale,
    )


def _groups(fields: dict[str, NDArray], rows: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    if "ctf/exp_group_id" not in fields:
        return np.zeros(rows, dtype=np.int64), ("exposure group",)
    numbers, group = np.unique(fields["ctf/exp_group_id"], return_inverse=True)
    return group.astype(np.int64), tuple(f"exposure group {n}" for n in numbers)


def _boxes(fields: dict[str, NDArray], problems: Problems) -> NDArray[np.float64] | None:
    if "blob/shape" not in fields:
        return None
    shape = fields["blob/shape"].astype(np.float64).reshape(len(fields["blob/shape"]), -1)
    if shape.shape[1] != 2 or (shape[:, 0] != shape[:, 1]).any():
        problems.add("blob/shape: expected square images; extract with a square box")
        return None
    return shape[:, 0]


def _sign(fields: dict[str, NDArray], problems: Problems) -> int | None:
    if "blob/sign" not in fields:
        return None
    found = np.unique(np.sign(fields["blob/sign"]))
    if len(found) > 1:
        problems.add("blob/sign: bright and dark particles are mixed; select those of one contrast")
        return None
    return int(found[0]) or None


def _texts(values: NDArray) -> list[str]:
    return [v.decode("utf-8", "surrogateescape") if isinstance(v, bytes) else str(v) for v in values.tolist()]


def _maybe(fields: dict[str, NDArray], name: str) -> NDArray[np.float64] | None:
    return fields[name].astype(np.float64) if name in fields else None


def _or(fields: dict[str, NDArray], name: str, default: NDArray[np.float64], problems: Problems) -> NDArray[np.float64]:
    found = _maybe(fields, name)
    return default if found is None else check_numbers(name, found, problems)
