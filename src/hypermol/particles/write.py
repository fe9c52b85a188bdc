"""Writing a RELION 3.1 star file (optics and particles blocks) for a new stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from hypermol.errors import DataError
from hypermol.imaging.rotations import matrix_to_euler
from hypermol.particles.star import write_text

if TYPE_CHECKING:
    from hypermol.imaging.ctf import CTF


def write_star(
    path: Path | str,
    stack: str | Sequence[str],
    *,
    box: int,
    pixel_size: float,
    image_index: ArrayLike | None = None,
    rotation: ArrayLike | None = None,
    shift: ArrayLike | None = None,
    ctf: CTF | None = None,
    half: ArrayLike | None = None,
    optics_group: ArrayLike | None = None,
    optics_names: Sequence[str] | None = None,
    micrograph: Sequence[str] | None = None,
    group: Sequence[str] | None = None,
    count: int | None = None,
) -> None:
    """Write one row per image; it reads back as the same numbers.

    stack        file name as it shall stand in rlnImageName, one for all M images or one each
    image_index  0-based section of each image (default 0 … M-1)
    rotation     [M, 3, 3] R_ij of each image;  shift [M, 2] Å, t_ij (written as rlnOrigin = -t)
    ctf          CTF of batch shape [M]; without it no CTF columns are written at all
    half         0 or 1 per image, written as rlnRandomSubset 1 or 2
    optics_group 0-based group of each image; voltage, Cs and amplitude contrast must agree within a group
    group        rlnGroupName; images of one particle (tilt pairs) share it, with different micrographs
    count        M, needed only where no other column says it

    Raises DataError where lengths disagree or a group is not of one kind.
    """
    columns = _image_columns(rotation, shift, ctf, half, micrograph, group)
    images = _length(path, columns, stack, image_index, optics_group, count)
    number = np.arange(images) if image_index is None else np.asarray(image_index, dtype=np.int64)
    groups = np.zeros(images, dtype=np.int64) if optics_group is None else np.asarray(optics_group, dtype=np.int64)
    files = [stack] * images if isinstance(stack, str) else list(stack)
    names = {"rlnImageName": [f"{n + 1:06d}@{f}" for n, f in zip(number, files)]}
    optics = _optics_columns(path, groups, optics_names, ctf, box, pixel_size)
    text = _block("optics", optics) + _block(
        "particles", {**names, "rlnOpticsGroup": [str(g + 1) for g in groups], **columns}
    )
    write_text(Path(path), text)


def _image_columns(
    rotation: ArrayLike | None,
    shift: ArrayLike | None,
    ctf: CTF | None,
    half: ArrayLike | None,
    micrograph: Sequence[str] | None,
    group: Sequence[str] | None,
) -> dict[str, list[str]]:
    columns: dict[str, list[str]] = {}
    if rotation is not None:
        angles = matrix_to_euler(torch.as_tensor(np.asarray(rotation), dtype=torch.float64)).numpy()
        for i, name in enumerate(("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")):
            columns[name] = _fixed(angles[:, i])
    if shift is not None:
        origin = -np.asarray(shift, dtype=np.float64)
        columns["rlnOriginXAngst"], columns["rlnOriginYAngst"] = _fixed(origin[:, 0]), _fixed(origin[:, 1])
    if ctf is not None:
        columns |= _ctf_columns(ctf)
    if half is not None:
        columns["rlnRandomSubset"] = [str(int(h) + 1) for h in np.asarray(half)]
    if micrograph is not None:
        columns["rlnMicrographName"] = [_word(m) for m in micrograph]
    if group is not None:
        columns["rlnGroupName"] = [_word(g) for g in group]
    return columns


def _ctf_columns(ctf: CTF) -> dict[str, list[str]]:
    degrees = {
        "rlnDefocusAngle": np.rad2deg(ctf.astigmatism_angle.cpu().numpy()),
        "rlnPhaseShift": np.rad2deg(ctf.phase_shift.cpu().numpy()),
    }
    return {
        "rlnDefocusU": _fixed(ctf.defocus_u.cpu().numpy()),
        "rlnDefocusV": _fixed(ctf.defocus_v.cpu().numpy()),
        "rlnDefocusAngle": _fixed(degrees["rlnDefocusAngle"]),
        "rlnPhaseShift": _fixed(degrees["rlnPhaseShift"]),
        "rlnCtfBfactor": _fixed(ctf.b_factor.cpu().numpy()),
        "rlnCtfScalefactor": _fixed(ctf.scale.cpu().numpy()),
    }


def _length(path: Path | str, columns: dict[str, list[str]], stack: str | Sequence[str], *others: Any) -> int:
    *arrays, count = others
    lengths = {name: len(values) for name, values in columns.items()}
    if not isinstance(stack, str):
        lengths["stack"] = len(stack)
    lengths |= {f"array {i}": len(np.asarray(a)) for i, a in enumerate(arrays) if a is not None}
    if count is not None:
        lengths["count"] = count
    if len(set(lengths.values())) != 1:
        raise DataError(f"{path}: the columns to write disagree in length: {lengths or 'no column was given'}")
    return next(iter(lengths.values()))


def _optics_columns(
    path: Path | str,
    groups: NDArray[np.int64],
    names: Sequence[str] | None,
    ctf: CTF | None,
    box: int,
    pixel_size: float,
) -> dict[str, list[str]]:
    count = int(groups.max(initial=0)) + 1
    labels = list(names) if names is not None else [f"opticsGroup{i + 1}" for i in range(count)]
    columns = {
        "rlnOpticsGroup": [str(i + 1) for i in range(len(labels))],
        "rlnOpticsGroupName": [_word(label) for label in labels],
        "rlnImagePixelSize": [f"{pixel_size:.9g}"] * len(labels),
        "rlnImageSize": [str(box)] * len(labels),
        "rlnImageDimensionality": ["2"] * len(labels),
    }
    if ctf is not None:
        for name, values in (
            ("rlnVoltage", ctf.voltage_kv),
            ("rlnSphericalAberration", ctf.cs_mm),
            ("rlnAmplitudeContrast", ctf.amplitude_contrast),
        ):
            columns[name] = _of_groups(path, name, values.cpu().numpy(), groups, len(labels))
    return columns


def _of_groups(path: Path | str, name: str, values: NDArray, groups: NDArray[np.int64], count: int) -> list[str]:
    result = []
    for group in range(count):
        found = np.unique(values[groups == group])
        if len(found) > 1:
            raise DataError(f"{path}: {name} differs within optics group {group}: {found[:3]}; give each its group")
        result.append(f"{found[0] if len(found) else values[0]:.9g}")
    return result


def _fixed(values: NDArray) -> list[str]:
    return [f"{v:.6f}" for v in np.asarray(values, dtype=np.float64)]


def _word(value: Any) -> str:
    word = f"{value:.9g}" if isinstance(value, float | np.floating) else str(value)
    return f'"{word}"' if not word or any(c.isspace() for c in word) else word


def _block(name: str, columns: Mapping[str, Sequence[str]]) -> str:
    header = "".join(f"_{column} #{i}\n" for i, column in enumerate(columns, start=1))
    rows = "".join(" ".join(row) + "\n" for row in zip(*columns.values(), strict=True))
    return f"\n# version 30001\n\ndata_{name}\n\nloop_\n{header}{rows}\n"
