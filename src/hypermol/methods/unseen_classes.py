"""Unseen particles under K class maps: the posterior of the class in closed form, with poses given or searched for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hypermol.engine import Draws, State
from hypermol.methods import classify_abinitio_steps, classify_steps
from hypermol.methods.classify_results import Coordinates, final_maps
from hypermol.methods.unseen import LinearVolume, Unseen
from hypermol.specs import BuildContext


def unseen_classes(settings: Any, state: State, context: BuildContext) -> Unseen:
    """For ``classify``. The overlap of a training particle with its own noise in the maps has no counterpart here."""
    steps = classify_steps.Steps(settings, context)

    def look(state: State, batch: Any, draws: Draws) -> dict[str, Tensor]:
        return steps.look(state, batch).rows

    return _with_coordinates(look, state)


def unseen_classes_posed(settings: Any, state: State, context: BuildContext) -> Unseen:
    """For ``classify-abinitio``: every pose searched for in every class."""
    steps = classify_abinitio_steps.Steps(settings, context)

    def look(state: State, batch: Any, draws: Draws) -> dict[str, Tensor]:
        return steps.look(state, batch).rows

    return _with_coordinates(look, state)


def _with_coordinates(find: Any, state: State) -> Unseen:
    found = Coordinates.of(final_maps(state), state.tensors["joint_weights"])
    points = found.points.double()

    def look(state: State, batch: Any, draws: Draws) -> dict[str, Tensor]:
        rows = find(state, batch, draws)
        probability = rows["class_probability"].double()
        rows["class"] = probability.argmax(1)
        if len(points) == 1:
            return rows  # type: ignore[no-any-return]
        mean = probability @ points
        second = torch.einsum("nk,kd,ke->nde", probability, points, points)
        return {**rows, "z": mean.float(), "z_covariance": (second - mean[:, :, None] * mean[:, None]).float()}

    return Unseen(look, LinearVolume(torch.cat([found.mean[None], found.directions])))
