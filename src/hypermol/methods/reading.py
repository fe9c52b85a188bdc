"""The last pass of a composition: what was inferred of each particle, and the back projection from poses it found."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import torch
from torch import Tensor

from hypermol.engine import Contribution, Deposit, Draws, State, Step
from hypermol.engine.gradient import PREFIX, Outcome, table_rows
from hypermol.errors import DataError
from hypermol.methods.backprojection import maps_and_words, results_of_maps
from hypermol.methods.method import Results
from hypermol.methods.pose_findings import findings
from hypermol.reconstruction import Accumulators, insertion
from hypermol.specs import BuildContext

POSE = ("rotation", "shift")


def reading(model: Any, context: BuildContext, poses: tuple[str, ...]) -> Step:
    """Contributes what the model infers: posterior mean and covariance of z, and the likelihood there. ``poses``: the
    columns of poses that were found; the images at these make a consensus map."""

    def contribute(state: State, batch: Any, draws: Draws) -> Contribution:
        outcome = looked_at(model, state, batch, draws, ("z", *poses))
        rows = {name: row for name, row in outcome.rows.items() if poses or name not in POSE}
        totals: dict[str, Tensor | Deposit] = {}
        if poses:
            totals["sums"] = insertion(dataclasses.replace(batch, **{name: rows[name] for name in poses}))
        return Contribution(totals, rows, outcome.info)

    return Step(contribute, partial(mapped, context)) if poses else Step(contribute)


def mapped(context: BuildContext, state: State, totals: dict[str, Tensor]) -> State:
    """The consensus map from ``totals["sums"]``, insertions at the poses that the table holds, and what it warns of."""
    try:
        maps, words = maps_and_words(Accumulators.view(totals["sums"], context.box), context)
    except DataError as error:  # an empty half-set, say: no reason to lose the run
        note = f"no consensus map beside the results: {error}"
        return State(state.tensors, state.table, {**state.data, "notes": [*state.data.get("notes", []), note]})
    said = findings(maps["consensus"], maps["fsc_corrected"], state.table["rotation"])
    notes = [*state.data.get("notes", []), *said]
    return State({**state.tensors, **maps}, state.table, {**state.data, **words, "notes": notes})


def looked_at(model: Any, state: State, batch: Any, draws: Draws, names: tuple[str, ...] = ()) -> Outcome:
    """What a model with the state's parameters says of a batch. ``names``: columns of the table that it is handed; an
    encoder needs none, so that the batch may be of images that the run has never seen."""
    model.train(False)
    tensors = {n.removeprefix(PREFIX): t for n, t in state.tensors.items() if n.startswith(PREFIX)}
    known = table_rows(state, batch.particle, names)
    with torch.no_grad():
        return torch.func.functional_call(model, tensors, (batch, draws, known))


def own_consensus(state: State) -> Results:
    """The maps, curves and resolutions of the back projection from poses that were found, and what they warn of."""
    if "consensus" not in state.tensors:
        return Results(notes=tuple(state.data["notes"]))
    return results_of_maps(state)
