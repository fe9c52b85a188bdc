"""Unseen particles of a rigid molecule: poses by search against the final map."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from hypermol.engine import Draws, State
from hypermol.methods.refine_steps import POSES, Steps
from hypermol.methods.unseen import LinearVolume, Unseen
from hypermol.specs import BuildContext


def unseen_searched(settings: Any, state: State, context: BuildContext) -> Unseen:
    """For ``refine`` and ``abinitio``: every pose searched for in the last band, then refined. Contrast and defocus are
    taken as the file has them: their scale is that of the run's own particles together."""
    steps, map_ = Steps(_plain(settings), context), state.tensors["consensus"]
    masked = map_ * state.tensors["mask"]
    maps = torch.stack([masked, masked])

    def look(state: State, batch: Any, draws: Draws) -> dict[str, Tensor]:
        view = State({**state.tensors, "maps": maps}, {}, {**state.data, "posed": False})
        first = steps.search(view, batch, draws).rows
        near = dataclasses.replace(batch, **{name: first[name] for name in ("rotation", "shift")})
        rows = steps.climb(view, near, draws).rows
        return {name: rows[name] for name in POSES}

    return Unseen(look, LinearVolume(masked[None]))


def _plain(settings: Any) -> Any:
    fields = {field.name for field in dataclasses.fields(settings)}
    return dataclasses.replace(settings, **{name: False for name in ("contrast", "defocus") if name in fields})
