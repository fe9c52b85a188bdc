"""How many classes there are: for the other half's images to say."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from hypermol.engine import Contribution, Draws, State
from hypermol.imaging import rebox
from hypermol.methods.classify_models import chosen, segments, unfitted
from hypermol.methods.classify_steps import Steps
from hypermol.reconstruction import extended
from hypermol.specs import BuildContext


@dataclasses.dataclass
class Choice:
    """Steps that keep some of the models of a state (``classify_steps``). ``settings``: a ``Classes``."""

    settings: Any
    context: BuildContext
    steps: Steps

    def held_out(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """Log-likelihood of each particle under each model of the half that it is not in."""
        images = self.steps.images_of(state, batch)
        found = self.steps.posterior(state, images, 1 - images.half)
        return Contribution(
            rows={self._held_out_rows(state): found.log_evidence}, info={"nll": -found.log_evidence[:, 0].sum()}
        )

    def promising(self, state: State, totals: dict[str, Tensor]) -> State:
        """Go on, in the whole box, with one class, with as many as the other half's images confirm, and with the next
        larger number."""
        best, kept, rows = chosen(state.data["models"], state.table[self._held_out_rows(state)])
        numbers = sorted(best)
        following = [k for k in numbers if k > kept][:1]
        wanted = sorted({1, kept, *following} & set(numbers)) if self.settings.choose else [self.settings.classes]
        return self._with_models(state, [best[k] for k in wanted], {"tried": rows, "starting": False})

    def confirmed(self, state: State, totals: dict[str, Tensor]) -> State:
        """Keep as many classes as the other half's images confirm."""
        best, kept, rows = chosen(state.data["models"], state.table[self._held_out_rows(state)])
        return self._with_models(state, [best[kept]], {"held_out": rows})

    def _held_out_rows(self, state: State) -> str:
        return "held out, starts" if state.data["starting"] else "held out"

    def _with_models(self, state: State, kept: list[int], data: dict[str, Any]) -> State:
        """These models alone, in the whole box."""
        own, box = state.tensors, self.context.box
        places = [segments(state.data["models"])[m] for m in kept]
        channels = torch.cat([torch.arange(*place) for place in places]).to(own["weights"].device)
        tensors = {
            "common": rebox(own["common"][:, kept], box),
            "difference": rebox(own["difference"][:, channels], box),
            "weights": own["weights"][:, channels].contiguous(),
            "power_common": extended(own["power_common"], box // 2),
            "power_difference": extended(own["power_difference"][kept], box // 2),
            "fsc": extended(own["fsc"][channels], box // 2, 0.0),
        }
        if state.data["starting"]:
            tensors |= self.steps.masks_of(tensors)
        for name in ("models", "reseeded"):
            data[name] = [state.data[name][m] for m in kept]
        return unfitted(State({**own, **tensors}, data={**state.data, **data}))
