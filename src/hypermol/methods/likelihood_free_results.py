"""What a likelihood-free run leaves: maps along z, how alike they are, and the populations that follow."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hypermol.engine import State
from hypermol.methods.game import GAME
from hypermol.methods.method import Results
from hypermol.methods.reading import POSE, own_consensus
from hypermol.metrics import fsccc, shares_of_ends
from hypermol.specs import BuildContext

SHOWN = 20
"""Conformations along z (Gupta et al. 2020, section 5)."""
CONFORMATION = "conformation-"
STILL = 0.01
"""Ends whose FSCCC is as near to 1 are the same map."""


def results(method: Any, state: State, context: BuildContext) -> Results:
    """See ``LikelihoodFree.results``."""
    z = method.along(SHOWN)
    decode = method.decoder(state, context)
    maps = decode(z).cpu()
    game, notes = state.data[GAME], tuple(state.data.get("notes", ()))
    how = f"after {game['turn']} turns, in their noise's deviation; means over about the last fifty"
    metrics = {
        "distance of real and made images": {"value": game["apart"], "unit": "", "how": f"sliced Wasserstein, {how}"},
        "gap of the critic": {"value": game["gap"], "unit": "", "how": f"D(real) - D(made), {how}"},
        "slope of the critic": {"value": game["slope"], "unit": "", "how": f"1 is what its penalty asks for; {how}"},
    }
    named, matrices = {"map": maps[0]}, dict[str, np.ndarray]()
    if z is not None:
        named = {f"{CONFORMATION}{number:02d}": map_ for number, map_ in enumerate(maps)}
        named["map"] = maps.mean(0)
        matrices["fsccc"] = fsccc(maps.double()).numpy()
        metrics |= _populations(matrices["fsccc"]) if z.shape[1] == 1 else {}
        metrics |= _turned(getattr(decode, "frames", None))
    if not method.assign:
        return Results({}, named, metrics, matrices=matrices, notes=notes)
    own = own_consensus(state)
    columns = ("z", "z_covariance", "log_likelihood", *POSE)
    estimates = {name: state.table[name].cpu().numpy() for name in columns if name in state.table}
    return Results(estimates, {**named, **own.maps}, {**metrics, **own.metrics}, own.curves, notes, matrices)


def _turned(frames: Any) -> dict[str, dict[str, Any]]:
    """How far finished maps were turned, where they were."""
    if frames is None:
        return {}
    how = f"the map turned most, to where all differ least; {frames.mirrored} of {len(frames.laid)} were mirrored too"
    return {"turn of finished maps": {"value": frames.turned_deg, "unit": "degrees", "how": how}}


def _populations(matrix: np.ndarray) -> dict[str, dict[str, Any]]:
    """Shares of maps like the ends, where these differ at all: z that moves nothing has no populations."""
    least = float(matrix.min())
    how = "area under the FSC of the two maps most apart; 1: nothing moves"
    apart: dict[str, dict[str, Any]] = {"least FSCCC": {"value": least, "unit": "", "how": how}}
    if matrix[0, -1] > 1 - STILL:
        return apart
    first, last, between = shares_of_ends(torch.from_numpy(matrix))
    how = f"of {len(matrix)} maps evenly along z, by FSCCC with the ends"
    shares = {"first": first, "last": last}
    found = {
        f"maps like the {name} one": {"value": 100 * share, "unit": "%", "how": how} for name, share in shares.items()
    }
    found["maps in transition"] = {"value": 100 * between, "unit": "%", "how": how}
    return found | apart
