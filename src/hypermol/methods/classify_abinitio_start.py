"""Where ``classify-abinitio`` starts: classes at the poses of one consensus map, or K maps grown from random poses, and
the choice between the two by images that neither has seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hypermol.engine import Contribution, Draws, Phase, State
from hypermol.imaging import rebox
from hypermol.maps import align_maps
from hypermol.methods import classify_steps
from hypermol.methods.abinitio_steps import FOUND, MISFIT
from hypermol.methods.abinitio_steps import Steps as MapSteps
from hypermol.methods.particle_images import smallest_box
from hypermol.methods.ppca_steps import START_CONTRAST_VARIANCE
from hypermol.objectives import all_signal
from hypermol.specs import BuildContext

APART = "apart"
"""The tensor in which maps grown from random poses wait for the choice."""
FROM_CONSENSUS, FROM_NOTHING = "from the consensus map", "from random poses"


@dataclasses.dataclass
class Beginning:
    """Steps between the starts and the passes over class and pose. ``settings``: a ``ClassifyAbInitio``."""

    settings: Any
    context: BuildContext

    def __post_init__(self) -> None:
        self._steps = classify_steps.Steps(self.settings, self.context)
        two = dataclasses.replace(self.settings, starts=2)
        self._judging = MapSteps(two, self.context, self.settings.classes)

    def compared(self, state: State) -> State:
        """The classes of half set 1 that began at the poses of a consensus map, beside those from random poses, in
        the band that both have."""
        own = state.tensors
        band = min(int(state.data["band"]), self.context.box // 2 - 1)
        box = smallest_box(band, self.context.box)
        at_poses = (own["common"][0] + own["difference"][0]) * own["support"]
        found = {f"{FOUND}{place}": rebox(maps, box) for place, maps in enumerate((at_poses, own[APART]))}
        return State({**own, **found}, state.table, {**state.data, "band": band})

    def judge(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """Log-likelihood of some images of half set 2 under each."""
        every = -(-self.context.count // self._judging.judged)
        return self._judging.judge(state, batch.take(torch.nonzero(batch.particle % every == 0)[:, 0]), draws)

    def chosen(self, state: State, totals: dict[str, Tensor]) -> State:
        """Go on with what half set 2 is likelier under."""
        (at_poses, apart), count = totals["likelihood"][:2].tolist(), float(totals["likelihood"][-2])  # as they stand
        lead = (at_poses - apart) / max(count, 1)
        better, worse = (FROM_CONSENSUS, FROM_NOTHING) if lead >= 0 else (FROM_NOTHING, FROM_CONSENSUS)
        words = (
            f"classes that began {better} were chosen: half set 2 is likelier under them than under those {worse} (by "
            f"{abs(lead):.2f} nats per particle)"
        )
        left = {name: tensor for name, tensor in state.tensors.items() if not name.startswith((FOUND, APART, MISFIT))}
        noted = State(left, state.table, {**state.data, "notes": [*state.data.get("notes", []), words]})
        return (
            self.numbered(noted) if lead >= 0 else self.from_random(dataclasses.replace(noted, tensors=state.tensors))
        )

    def from_random(self, state: State) -> State:
        """Both halves begin with the maps grown from random poses, laid onto the largest in power, each of either hand
        where there are no tilts: images tell neither the hand of a class nor how it is turned."""
        maps = rebox(state.tensors[APART], self.context.box)
        first = int(maps.square().flatten(1).sum(1).argmax())
        limit = min(int(state.data["band"]), self.context.box // 2 - 1)
        free = not state.data.get("hand_known", False)
        fitted = (align_maps(map_, maps[first], band_limit=limit, either_hand=free).aligned for map_ in maps)
        laid = [maps[first] if place == first else map_ for place, map_ in enumerate(fitted)]
        aligned = torch.stack(laid).to(maps)
        begun = self._begun(state, torch.stack([aligned, aligned]))
        misfit = all_signal(self.context)
        if MISFIT in state.tensors:  # nothing is explained of the shells that the start did not see
            known = state.tensors[MISFIT][: len(misfit)]
            misfit = torch.cat([known, misfit[len(known) :].to(known)])
        return State({**begun.tensors, MISFIT: misfit}, begun.table, begun.data)

    def from_refined(self, state: State) -> State:
        """One class: each half begins with its own map."""
        return self._begun(state, state.tensors["maps"][:, None])

    def numbered(self, state: State) -> State:
        """Classes of the known poses, each in its own column of the table."""
        classes = state.tensors["difference"].shape[1]
        columns = torch.arange(classes, device=state.tensors["difference"].device).repeat(2, 1)
        return State({**state.tensors, "columns": columns}, state.table, {**state.data, "settled": False})

    def _begun(self, state: State, maps: Tensor) -> State:
        """A model whose class maps [2, K, D, D, D] are these, nothing known of their priors but what images show."""
        settings, context, classes = self.settings, self.context, maps.shape[1]
        common, power = maps.mean(1, keepdim=True), context.signal_amplitude.square().to(maps)
        shells = torch.arange(len(power), device=power.device)
        variance = START_CONTRAST_VARIANCE if settings.contrast else 0.0
        tensors = {
            "common": common,
            "difference": maps - common,
            "weights": maps.new_full((2, classes), 1 / classes).double(),
            "power_common": power,
            "power_difference": power[None],
            "fsc": (shells <= int(state.data["band"])).to(power).repeat(classes, 1),
            "contrast_variance": torch.full((1,), variance, dtype=torch.float64, device=maps.device),
        }
        tensors |= self._steps.masks_of(tensors)  # noise in a sphere would be taken for more than is left in the maps
        data = {"models": [classes], "starting": False, "reseeded": [0], "moved": 1.0}
        return self.numbered(State(tensors, state.table, {**state.data, **data}))


def posed(contribute: Callable[..., Contribution]) -> Callable[..., Contribution]:
    """The same of a batch whose poses are those of the particle table."""

    def at_found_poses(state: State, batch: Any, draws: Draws) -> Contribution:
        found = {name: state.table[name][batch.particle] for name in ("rotation", "shift")}
        return contribute(state, dataclasses.replace(batch, **found), draws)

    return at_found_poses


def carrying(phase: Phase, names: tuple[str, ...] = (APART, MISFIT)) -> Phase:
    """The same phase, which hands on tensors that it knows nothing of."""

    def kept(change: Callable[..., State]) -> Callable[..., State]:
        def changed(state: State, *totals: Any) -> State:
            after = change(state, *totals)
            own = {name: state.tensors[name] for name in names if name in state.tensors}
            return State({**after.tensors, **own}, {**state.table, **after.table}, after.data)

        return changed

    steps = tuple(dataclasses.replace(step, apply=kept(step.apply)) for step in phase.steps)
    return dataclasses.replace(phase, steps=steps, enter=kept(phase.enter))
