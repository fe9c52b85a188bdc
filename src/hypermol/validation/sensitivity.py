"""Does the answer hang on the seed or on a setting (Donnat et al. 2022, section 4.3.2)? The method is run again on half
1, changed in one thing, and compared with the unchanged run on half 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hypermol.errors import ConfigError
from hypermol.methods import configured, settings_of
from hypermol.metrics import best_direction
from hypermol.runs import Run
from hypermol.validation.motion import motion_between
from hypermol.validation.pieces import Piece, Whole


def main_settings(method: Any) -> dict[str, Any]:
    """Two settings that matter most for what z can say, each at another sensible value: the number of coordinates, and
    the price of z (β) or else the learning rate. Empty for a method that has neither."""
    known = settings_of(method)
    values: dict[str, Any] = {}
    if "z_dim" in known:
        values["z_dim"] = 2 * int(known["z_dim"].value)
    if "objective.beta" in known:
        beta = known["objective.beta"].value
        values["objective.beta"] = 2 * (beta if beta is not None else 1 / (2 * int(known["z_dim"].value)))
    elif "learning_rate" in known:
        values["learning_rate"] = known["learning_rate"].value / 2
    return values


def variants(whole: Whole, seeds: int, settings: Mapping[str, Any]) -> list[tuple[str, Piece]]:
    """What is changed, in words, and the piece that is run for it. Raises ConfigError for impossible settings."""
    base = 1000 * (whole.seed + 1)
    found = [
        (f"seed {base + 100 + n}", Piece(f"seed-{base + 100 + n}", 0, base + 100 + n, whole.method))
        for n in range(seeds)
    ]
    for name, value in settings.items():
        if name == "seed":
            raise ConfigError("--vary seed: other seeds are tried with --seeds N")
        changed = configured(whole.method, {name: value})
        found.append((f"{name} = {value}", Piece(f"vary-{name}-{value}", 0, base, changed)))
    return found


def compared(
    whole: Whole, pieces: tuple[Piece, Piece], runs: tuple[Run, Run], axis: np.ndarray | None, conduct: Any
) -> dict[str, Any]:
    """A changed run on half 1 against the unchanged one on half 2: significance and resolution (Å) of its best axis;
    and against the unchanged one on half 1, particle by particle, order: how well the changed z tells ``axis``, the
    unchanged coordinate of those particles (|Spearman|, fitted on half of them, scored on the others; 0 to 1)."""
    motion = motion_between(whole, pieces, runs, conduct)
    found: dict[str, Any] = {"significance": None, "resolution": None, "order": None}
    if motion.count:
        found |= {"significance": float(motion.significance[0]), "resolution": float(motion.resolution[0])}
    if axis is not None:
        fit = np.arange(len(axis)) % 2 == 0
        found["order"] = best_direction(runs[0].estimates()["z"], axis, fit).spearman
    return found
