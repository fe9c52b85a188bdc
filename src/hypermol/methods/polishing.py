"""Phases after an encoder has learned: its answers searched around, then moved by gradient with z and the volume."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any

import torch
from torch import Tensor

from hypermol.engine import Draws, Phase, State
from hypermol.errors import ConfigError
from hypermol.methods.composition import Training
from hypermol.methods.field_search import CENTRES, FieldSearch, called, clustered
from hypermol.methods.search_phases import without_moments
from hypermol.poses import search_near
from hypermol.specs import BuildContext, Count, register

if TYPE_CHECKING:
    from hypermol.methods.composition import Composition, Model


@dataclasses.dataclass(frozen=True)
class NearEncoder:
    """``known`` of a ``GradientStep``: rotation, shift and z of particles, searched for near what the encoder says,
    against the map at the nearest centre of z. ``search``: how images and maps are compared; ``levels``: how near."""

    model: Any
    search: FieldSearch
    levels: Any

    def __call__(self, state: State, batch: Any, draws: Draws) -> dict[str, Tensor]:
        """rotation [B, 3, 3], shift [B, 2] Å and, where there is one, z [B, d]."""
        values = called(self.model.volume, state, "volume.")
        centres = state.tensors.get(CENTRES)
        grid_of = cache(partial(self.search.grid, values, centres, device=batch.images.device))
        with torch.no_grad():
            said = called(self.model.pose.encoder, state, "pose.encoder.")(batch, draws, {})
        return self.near(said, self.search.compared(state, batch), centres, grid_of)

    def near(self, said: Any, batch: Any, centres: Tensor | None, grid_of: Callable[..., Any]) -> dict[str, Tensor]:
        """Near answers (``Hypotheses``) and under grids that are at hand."""
        images = self.search.images(batch)
        unit = batch.pixel_size * self.search.box / self.search.small
        count = said.rotation.shape[1]
        z = None if said.z is None else said.z.expand(-1, count, -1)
        label = torch.zeros(batch.size, count, dtype=torch.long, device=batch.images.device)
        if z is not None and centres is not None:
            label = torch.cdist(z.float(), centres.expand(batch.size, -1, -1)).argmin(2)
        found: dict[str, Tensor] = {}
        best = torch.full((batch.size,), -torch.inf, dtype=torch.float64, device=batch.images.device)
        for cluster in label.unique().tolist():
            rows = torch.nonzero((label == cluster).any(1))[:, 0]
            own = (label[rows] == cluster).float().argmax(1)  # the hypotheses of one particle mostly agree on z
            pose = said.rotation[rows].float(), said.shift[rows].float() / unit
            rotation, shift, value = search_near(images.take(rows), grid_of(cluster), *pose, self.levels)
            better = value > best[rows]
            best[rows] = torch.where(better, value, best[rows])
            parts = {"rotation": rotation, "shift": shift * unit}
            if z is not None:
                parts["z"] = z[rows, own]
            for name, part in parts.items():
                whole = found.setdefault(name, part.new_zeros(batch.size, *part.shape[1:]))
                whole[rows[better]] = part[better].to(whole)
        return found


@register("phase", "local-search")
@dataclasses.dataclass(frozen=True)
class LocalSearch(Training):
    """Each particle's pose, searched for near what the encoder says; the volume learns from these poses at once."""

    name: str = "local search"
    passes: Annotated[Count, "over all particles"] = 1
    clusters: Annotated[Count, "of z; particles of one are compared with one map"] = 12

    def check(self, method: Composition) -> None:
        """Raises ConfigError where there is no encoder whose answers are kept."""
        if method.pose.kind != "polished-encoder":
            raise ConfigError(
                f"{method.name}: phase {self.name!r} needs pose = polished-encoder, found {method.pose.kind}"
            )

    def planned(self, method: Composition, model: Model, context: BuildContext) -> tuple[Phase, ...]:
        """One phase in which the volume alone moves."""
        near = near_encoder(method, model, context)
        enter = partial(_entered, clusters=self.clusters, seed=context.seed)
        return (method.gradient_phase(self, model, context, known=near, enter=enter, parameters=("volume",)),)


@register("phase", "polish")
@dataclasses.dataclass(frozen=True)
class Polish(Training):
    """Each particle's pose and z move by gradient, with the volume."""

    name: str = "polish"

    def planned(self, method: Composition, model: Model, context: BuildContext) -> tuple[Phase, ...]:
        """One phase."""
        moving = ("rotation", "shift", "z") if method.pose.z_dim else ("rotation", "shift")
        return (
            method.gradient_phase(self, model, context, moving=moving, enter=without_moments, parameters=("volume",)),
        )


def near_encoder(method: Composition, model: Any, context: BuildContext) -> NearEncoder:
    """The local search of a method at all shells."""
    search = FieldSearch(model, method.pose, context.box, context.box // 2 - 1)
    return NearEncoder(model, search, method.pose.levels)


def _entered(state: State, clusters: int, seed: int) -> State:
    return clustered(without_moments(state), clusters, seed)
