"""Atoms as arrays: frames of a trajectory, and models whose pseudo-atoms no format of the field can hold."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from hypermol.errors import DataError
from hypermol.simulation.models import Atoms

NUMBERS = {"H": 1, "D": 1, "C": 6, "N": 7, "O": 8, "NA": 11, "MG": 12, "P": 15, "S": 16, "K": 19, "CA": 20, "ZN": 30}


def read_frames(path: Path | str) -> tuple[Atoms, ...]:
    """The frames of an .npz file, without hydrogens.

    coordinates: [n, 3] or [F, n, 3] Å. weight: [n], or element: [n] names whose atomic numbers are the weights.
    Optional, of length n: chain (names; default "A"), residue_number, atom_name. Raises DataError for anything else.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such model file; expected an .npz file of atoms")
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
        coordinates = arrays["coordinates"].astype(np.float64)
        frames = coordinates.reshape(-1, *coordinates.shape[-2:])
        weight = _weights(path, arrays)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: expected atoms (coordinates, and weight or element), cannot read it: {error}"
        ) from None
    if frames.shape[1:] != (len(weight), 3) or not np.isfinite(frames).all() or not np.isfinite(weight).all():
        raise DataError(f"{path}: expected finite coordinates [frames, {len(weight)}, 3], found {frames.shape}")
    kept = weight > 1 if "element" in arrays else np.ones(len(weight), dtype=bool)
    names, chain = np.unique(arrays.get("chain", np.full(len(weight), "A")), return_inverse=True)
    labels = tuple(_labels(arrays, names[chain])[kept].tolist())
    chains = tuple(map(str, names))
    return tuple(Atoms(frame[kept], weight[kept], chain[kept].astype(np.int64), chains, labels) for frame in frames)


def write_atoms(path: Path, model: Atoms) -> None:
    """Write one model so that ``read_frames`` gives it back."""
    parts = np.array([label.rsplit("/", 2) for label in model.labels], dtype=np.str_)
    with open(path, "wb") as stream:
        np.savez_compressed(
            stream,
            coordinates=model.coordinates,
            weight=model.weight,
            chain=parts[:, 0],
            residue_number=parts[:, 1],
            atom_name=parts[:, 2],
        )


def _weights(path: Path, arrays: dict[str, np.ndarray]) -> np.ndarray:
    if "weight" in arrays:
        return arrays["weight"].astype(np.float64)
    elements = [str(name).upper() for name in arrays["element"]]
    unknown = sorted({name for name in elements if name not in NUMBERS})
    if unknown:
        raise DataError(f"{path}: elements {', '.join(unknown)} are not known; known: {', '.join(NUMBERS)}")
    return np.array([float(NUMBERS[name]) for name in elements])


def _labels(arrays: dict[str, np.ndarray], chain: np.ndarray) -> np.ndarray:
    number = arrays.get("residue_number", np.arange(1, len(chain) + 1))
    name = arrays.get("atom_name", np.full(len(chain), "CA"))
    return np.array([f"{c}/{r}/{a}" for c, r, a in zip(chain, number, name)])
