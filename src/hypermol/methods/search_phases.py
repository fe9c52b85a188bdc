"""Phases of ab initio methods: turns of pose search and training; training of a new network on the poses found."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from hypermol.engine import Phase, State
from hypermol.engine.gradient import PREFIX, initial_tensors
from hypermol.errors import ConfigError
from hypermol.methods.composition import Training
from hypermol.methods.field_search import FieldSearch, clustered
from hypermol.specs import BuildContext, Count, Dimension, NonNegative, Share, register

if TYPE_CHECKING:
    from hypermol.methods.composition import Composition, Model

Z_SILENT = 1e4
"""A divergence weight under which z says nothing: before poses are about right it would tell them and not shapes."""


@register("phase", "search")
@dataclasses.dataclass(frozen=True)
class Search:
    """Turns. In the first pass of each, the pose of every particle is searched for and the network learns from it at
    once, so that the next batch is compared with a better map; in the others the poses stay.

    The band that is compared grows from turn to turn. Before the training of a turn in ``resets`` the network begins
    anew: it learned from poses that were worse than those it now has (Zhong et al. 2021, section 3).
    """

    name: str = "search"
    turns: Annotated[Count, "searches of every particle"] = 12
    passes: Annotated[Dimension, "over all particles after each search, its poses kept"] = 0
    batch_size: Annotated[Count, "particles per step"] = 16
    search_batch: Annotated[Count, "particles per step while poses are searched for"] = 16
    band_start: Annotated[Share, "share of Nyquist that the first search compares"] = 0.4
    band_end: Annotated[Share, "share that the last one does"] = 1.0
    clusters: Annotated[Count, "of z; particles of one are compared with one map"] = 12
    limited: Annotated[bool, "the network, too, learns from no finer shells than those compared"] = True
    resets: Annotated[tuple[Count, ...], "turns after whose search the network begins anew"] = ()
    divergence_weight: Annotated[NonNegative, "factor of the objective's beta"] = 1.0

    def grown(self, method: Composition) -> Composition:
        """The method as it goes on after this phase."""
        return method

    def check(self, method: Composition) -> None:
        """Raises ConfigError where a network would begin anew and not be trained, or poses are not searched for."""
        _require_searched(method, self.name)
        if self.resets and (self.passes == 0 or max(self.resets) > self.turns):
            raise ConfigError(
                f"{method.name}: resets = {list(self.resets)} need passes of 1 or more, and turns up to {self.turns}; "
                f"found passes = {self.passes}"
            )

    def band(self, turn: int, box: int) -> int:
        """The shell up to which turn 1, 2, … compares images."""
        share = (turn - 1) / max(1, self.turns - 1)
        return max(3, round((self.band_start + share * (self.band_end - self.band_start)) * (box // 2 - 1)))

    def planned(self, method: Composition, model: Model, context: BuildContext) -> tuple[Phase, ...]:
        """A search and, where there are passes, a training phase for each turn."""
        found: list[Phase] = []
        for turn in range(1, self.turns + 1):
            band = self.band(turn, context.box)
            search = FieldSearch(model, method.pose, context.box, band)
            limit = partial(_constant, band) if self.limited else None
            called = f"{self.name} {turn} of {self.turns}"
            one = Training(called, 1, self.search_batch, divergence_weight=self.divergence_weight)
            clusters = partial(_begun, first=turn == 1, clusters=self.clusters, seed=context.seed)
            found.append(method.gradient_phase(one, model, context, known=search, enter=clusters, band=limit))
            if self.passes:
                after = f"after search {turn} of {self.turns}"
                more = Training(after, self.passes, self.batch_size, divergence_weight=self.divergence_weight)
                enter = partial(anew, method=method, context=context, start=turn) if turn in self.resets else None
                found.append(method.gradient_phase(more, model, context, enter=enter, band=limit))
        return tuple(found)


@register("phase", "continued")
@dataclasses.dataclass(frozen=True)
class Continued(Training):
    """Training on the poses found so far: by a new network, a larger one, or one that moves the poses as well."""

    fresh: Annotated[bool, "begin with a new network"] = True
    hidden: Annotated[Dimension, "units of a layer of the new network; 0: as many as the one before"] = 0
    layers: Annotated[Dimension, "its residual layers; 0: as many as the one before"] = 0
    poses_move: Annotated[bool, "each particle's pose moves by gradient, too"] = False

    def grown(self, method: Composition) -> Composition:
        """The method with the new network's size."""
        size = {name: value for name, value in (("hidden", self.hidden), ("layers", self.layers)) if value}
        return dataclasses.replace(method, volume=dataclasses.replace(method.volume, **size)) if size else method

    def check(self, method: Composition) -> None:
        """Raises ConfigError where a network would have to grow as it is."""
        _require_searched(method, self.name)
        if (self.hidden or self.layers) and not self.fresh:
            raise ConfigError(f"{method.name}: hidden and layers of phase {self.name!r} need fresh=true, a new network")

    def planned(self, method: Composition, model: Model, context: BuildContext) -> tuple[Phase, ...]:
        """One phase."""
        enter = partial(anew, method=method, context=context, start=1000) if self.fresh else without_moments
        moving = ("rotation", "shift") if self.poses_move else ()
        return (method.gradient_phase(self, model, context, enter=enter, moving=moving),)


def without_moments(state: State) -> State:
    """The state as an optimiser that begins sees it: gradients of another loss, or at other poses, would damp its
    steps for long, above all those of rows, which are taken once per pass."""
    tensors = {name: t for name, t in state.tensors.items() if not name.startswith("adam.")}
    table = {name: t for name, t in state.table.items() if not name.endswith((".first", ".second", ".steps"))}
    return State(tensors, table, state.data)


def _begun(state: State, first: bool, clusters: int, seed: int) -> State:
    return clustered(without_moments(state) if first else state, clusters, seed)


def _constant(band: int, progress: float) -> int:
    return band


def anew(state: State, method: Composition, context: BuildContext, start: int) -> State:
    """The state with the parameters of a network that has seen nothing; poses and all else that is known of particles
    stay. ``start``: which of the random beginnings that a seed has."""
    state, device = without_moments(state), next(iter(state.tensors.values())).device
    kept = {name: t for name, t in state.tensors.items() if not name.startswith(PREFIX)}
    begun = {name: t.to(device) for name, t in initial_tensors(method.model(context, start)).items()}
    return State({**kept, **begun}, state.table, state.data)


def _require_searched(method: Any, phase: str) -> None:
    if getattr(method.pose, "needs_poses", True):
        raise ConfigError(f"{method.name}: phase {phase!r} needs pose = searched, found {method.pose.kind}")
