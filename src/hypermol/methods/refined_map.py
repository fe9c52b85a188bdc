"""What a refinement leaves: the poses, the maps of ``backprojection``, and how far the half sets agree."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor

from hypermol.engine import State
from hypermol.methods import backprojection
from hypermol.methods.method import Results

POSES = ("rotation", "shift", "log_likelihood")
INDEPENDENCE, REASON = "models", "each half set was aligned to its own map, beyond the resolution they began with"


def results(state: State) -> Results:
    """Maps, their curves and resolutions; pose and log-likelihood (up to a constant) of each particle."""
    maps = {name: state.tensors[name].cpu() for name in backprojection.MAPS}
    curves = {n: t.cpu().numpy().astype(np.float32) for n, t in state.tensors.items() if n.startswith("fsc_")}
    rows = {name: state.table[name].cpu().numpy() for name in POSES}
    return Results(rows, maps, state.data["metrics"], curves, tuple(state.data.get("notes", ())))


def decoder(state: State) -> Callable[[Tensor | None], Tensor]:
    """The map of all particles, [1, D, D, D], or once per row where some z is asked for."""
    return backprojection.BACKPROJECTION.decoder(state, None)  # type: ignore[arg-type]
