"""Do several methods' runs on one data set say the same (Toader et al. 2022, section 10)?

They share all their images, noise included, so that agreement is no proof of motion; disagreement is a warning.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from hypermol.errors import ConfigError, DataError
from hypermol.metrics import spearman
from hypermol.runs import Run
from hypermol.shapes import Float
from hypermol.validation.axes import frame_of


def canonical_agreement(first: Float[np.ndarray, "N a"], second: Float[np.ndarray, "N b"]) -> list[dict[str, float]]:
    """Canonical correlations (Hotelling 1936) of two landscapes of the same particles, the strongest first: axes fitted
    on half of the particles; correlation and spearman on the others, each -1 to 1 (0: nothing in common, 1: the same).

    Raises DataError for tables of different lengths, NaN, or too few particles.
    """
    if len(first) != len(second):
        raise DataError(f"landscapes of {len(first)} and {len(second)} particles cannot be compared one to one")
    fit = np.random.default_rng(17).permutation(len(first)) % 2 == 0
    none = np.zeros((len(first), 0))
    frames = [frame_of(z[fit]) for z in (first, second)]
    a, b = (frame.coordinates(z, none) for frame, z in zip(frames, (first, second)))
    left, _, right = np.linalg.svd(a[fit].T @ b[fit], full_matrices=False)
    x, y = a[~fit] @ left, b[~fit] @ right.T
    return [
        {"correlation": float(np.corrcoef(x[:, j], y[:, j])[0, 1]), "spearman": spearman(x[:, j], y[:, j])}
        for j in range(x.shape[1])
    ]


def agreement_of_runs(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """``canonical_agreement`` of each pair of finished runs. No axes where either makes no use of its z.

    Raises ConfigError where a run has no z, or other particles.
    """
    for run in runs:
        _require_same_particles(runs[0], run)
    latent = []
    for run in runs:
        estimates = run.estimates()
        if "z" not in estimates:
            raise ConfigError(f"{run.path}: its method infers no z, so there is no landscape to compare")
        latent.append(estimates["z"])
    return [
        {"runs": [str(runs[i].path), str(runs[j].path)], "axes": canonical_agreement(latent[i], latent[j])}
        for i, j in combinations(range(len(runs)), 2)
    ]


def _require_same_particles(first: Run, other: Run) -> None:
    ours, theirs = first.config["input"], other.config["input"]
    pixels = [given.get("images_fingerprint") for given in (ours, theirs)]  # absent in older runs
    if ours["fingerprint"] != theirs["fingerprint"] or (all(pixels) and pixels[0] != pixels[1]):
        raise ConfigError(
            f"{other.path} was made from {theirs['particles']}, {first.path} from {ours['particles']}: their particles "
            "differ, so their landscapes cannot be compared one to one"
        )
