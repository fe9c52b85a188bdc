"""cryoDRGN's pose and CTF pickles, through a reader that makes numpy arrays and nothing else.

A pose file holds rotations [M, 3, 3] (the same R as ours) and, where known, shifts [M, 2] as fractions of the
box, t = -shift · box (checked on cryoDRGN's own parse of star and cs files). A CTF file holds [M, 9]: box, Å per
pixel, defocus U and V (Å), astigmatism angle (degrees), kV, Cs (mm), amplitude contrast, phase shift (degrees).
"""

from __future__ import annotations

import gzip
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypermol.errors import DataError
from hypermol.imaging.ctf import CTF
from hypermol.particles.problems import Problems
from hypermol.particles.rows import Rows, check_numbers, check_optics
from hypermol.particles.tilts import number_groups

_ARRAY_PARTS = {
    ("multiarray", "_reconstruct"),
    ("multiarray", "scalar"),
    ("numeric", "_frombuffer"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}


class _Refused(pickle.UnpicklingError):
    """The pickle names something else than an array."""


class _ArraysOnly(pickle.Unpickler):
    """Refuses every name but those with which numpy rebuilds arrays."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return _latin1_bytes
        last = module.rsplit(".", 1)[-1]
        if module.split(".")[0] == "numpy" and (last, name) in _ARRAY_PARTS:
            if last == "numpy":
                return getattr(np, name)
            return getattr(getattr(np._core, last), name)  # type: ignore[attr-defined]
        raise _Refused(f"{module}.{name}")


def _latin1_bytes(text: str, encoding: str) -> bytes:
    """How the oldest pickle protocols keep bytes; no other codec is let in."""
    if not isinstance(text, str) or encoding != "latin1":
        raise _Refused(f"bytes encoded as {encoding!r}")
    return text.encode("latin1")


def read_arrays(path: Path) -> tuple[NDArray, ...]:
    """The numpy arrays in a pickle (plain or gzipped). Raises DataError for anything but arrays of numbers."""
    try:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
        found = _ArraysOnly(io.BytesIO(raw)).load()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    except _Refused as error:
        raise DataError(f"{path}: expected arrays only, found {error}; nothing in it was executed") from None
    except Exception:  # a damaged pickle may raise almost anything
        raise DataError(f"{path}: expected a pickle of arrays, found none or a damaged one; write it again") from None
    arrays = tuple(found) if isinstance(found, tuple | list) else (found,)
    if not arrays or not all(isinstance(a, np.ndarray) and a.dtype.kind in "fiu" for a in arrays):
        raise DataError(f"{path}: expected arrays of numbers, found other values")
    return arrays


def with_poses(rows: Rows, path: Path, box: int, problems: Problems) -> Rows:
    """The rows with the poses of a pickle instead of their own."""
    arrays = read_arrays(path)
    rotation = arrays[0]
    if rotation.shape != (rows.count, 3, 3):
        problems.add(f"{path}: expected rotations of shape ({rows.count}, 3, 3), one per image, found {rotation.shape}")
        return rows
    rotation = check_numbers(f"{path.name}: rotation", rotation, problems)
    if np.abs(rotation @ rotation.transpose(0, 2, 1) - np.eye(3)).max() > 1e-3:
        problems.add(f"{path}: expected rotation matrices, found matrices that are not orthogonal")
    if len(arrays) == 1:
        return rows.changed((f"{path.name}: no shifts, taken as zero",), rotation=rotation, **_shift(rows, None, box))
    shift = arrays[1]
    if shift.shape != (rows.count, 2):
        problems.add(f"{path}: expected shifts of shape ({rows.count}, 2), found {shift.shape}")
        return rows
    shift = check_numbers(f"{path.name}: shift", shift, problems)
    if np.abs(shift).max(initial=0) > 1:
        problems.add_convention(
            f"{path}: expected shifts as fractions of the box, found up to {np.abs(shift).max():.3g}: they may be in "
            "pixels; divide them by the box size"
        )
    return rows.changed((f"poses from {path.name}",), rotation=rotation, **_shift(rows, shift, box))


def with_ctf(rows: Rows, path: Path, box: int, problems: Problems) -> Rows:
    """The rows with the CTF and pixel size of a pickle instead of their own."""
    table = read_arrays(path)[0]
    if table.shape != (rows.count, 9):
        problems.add(f"{path}: expected CTF parameters of shape ({rows.count}, 9), found {table.shape}")
        return rows
    table = check_numbers(path.name, table, problems)
    if (table[:, :2] <= 0).any():
        problems.add(f"{path}: expected box and pixel size above 0")
    check_optics(table[:, 5], table[:, 7], problems)
    if problems.found:
        return rows
    ctf = CTF.create(
        defocus_u=table[:, 2],
        defocus_v=table[:, 3],
        astigmatism_angle=np.deg2rad(table[:, 4]),
        voltage_kv=table[:, 5],
        cs_mm=table[:, 6],
        amplitude_contrast=table[:, 7],
        phase_shift=np.deg2rad(table[:, 8]),
    )
    # the pickle may have been written for the images before they were scaled down
    changes: dict[str, Any] = {"ctf": ctf, "pixel_sizes": table[:, 1] * table[:, 0] / (box or table[0, 0])}
    if len(rows.optics_names) == 1:
        keys = ["optics {:g} {:g} {:g}".format(*row) for row in table[:, 5:8]]
        changes |= {"optics_group": number_groups(keys), "optics_names": tuple(dict.fromkeys(keys))}
    return rows.changed((f"CTF and pixel size from {path.name}",), **changes)


def _shift(rows: Rows, fraction: NDArray[np.float64] | None, box: int) -> dict[str, Any]:
    zero = np.zeros((rows.count, 2))
    return {"shift_angst": zero, "shift_px": zero if fraction is None else -fraction * box}
