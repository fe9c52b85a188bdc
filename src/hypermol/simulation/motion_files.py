"""A motion on disk: ``atoms/motion.npz``, numbers and names only."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from hypermol.errors import DataError
from hypermol.simulation.models import Atoms
from hypermol.simulation.motions import Arrangements, Motion, Turn, Turns
from hypermol.simulation.transitions import Transition

KINDS = {Turns: "turns", Arrangements: "arrangements", Transition: "transition"}


def save_motion(path: Path, motion: Motion) -> None:
    """Write all atoms and how they move."""
    models = motion.models if isinstance(motion, Arrangements) else (motion.model,)
    turns = motion.turns if isinstance(motion, Turns) else ()
    arrays: dict[str, Any] = {
        "kind": np.array(KINDS[type(motion)]),
        "count": np.array([model.count for model in models]),
        "coordinates": np.concatenate([model.coordinates for model in models]),
        "weight": np.concatenate([model.weight for model in models]),
        "chain": np.concatenate([model.chain for model in models]),
        "labels": np.concatenate([np.array(model.labels, dtype=np.str_) for model in models]),
        "chain_names": np.array([",".join(model.chain_names) for model in models], dtype=np.str_),
        "levels": np.array(getattr(motion, "levels", 0)),
        "populations": np.array(motion.populations, dtype=np.float64),
        "moving": np.array([turn.moving for turn in turns], dtype=bool).reshape(
            len(turns), models[0].count if turns else 0
        ),
        "pivot": np.array([turn.pivot for turn in turns]).reshape(-1, 3),
        "axis": np.array([turn.axis for turn in turns]).reshape(-1, 3),
        "range_deg": np.array([turn.range_deg for turn in turns]).reshape(-1, 2),
    }
    if isinstance(motion, Transition):
        arrays["frames"] = motion.frames
    with open(path, "wb") as stream:
        np.savez_compressed(stream, **arrays)


def load_motion(path: Path) -> Motion:
    """Read what ``save_motion`` wrote. Raises DataError where the file is missing or something else."""
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
        models = _models(arrays)
        levels, populations = int(arrays["levels"]), tuple(arrays.get("populations", np.zeros(0)).tolist())
        if str(arrays["kind"]) == "arrangements":
            return Arrangements(tuple(models), populations)
        if str(arrays["kind"]) == "transition":
            return Transition(models[0], arrays["frames"], levels, populations)
        turns = tuple(
            Turn(moving, pivot, axis, (float(span[0]), float(span[1])))
            for moving, pivot, axis, span in zip(arrays["moving"], arrays["pivot"], arrays["axis"], arrays["range_deg"])
        )
        return Turns(models[0], turns, levels, populations)
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: expected the motion of a simulated data set, cannot read it: {error}") from None


def _models(arrays: dict[str, np.ndarray]) -> list[Atoms]:
    edges = np.concatenate([[0], np.cumsum(arrays["count"])])
    return [
        Atoms(
            arrays["coordinates"][a:b],
            arrays["weight"][a:b],
            arrays["chain"][a:b],
            tuple(str(names).split(",")),
            tuple(arrays["labels"][a:b].tolist()),
        )
        for a, b, names in zip(edges[:-1], edges[1:], arrays["chain_names"])
    ]
