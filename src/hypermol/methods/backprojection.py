"""Back projection from known poses: one consensus map with half maps, FSC and mask, in one pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from hypermol.engine import Contribution, Draws, Phase, Program, State, Step
from hypermol.methods.method import Results
from hypermol.methods.unseen import Unseen, unseen_placed
from hypermol.reconstruction import Accumulators, ConsensusMaps, form_maps, insertion
from hypermol.specs import BuildContext, Count, register

SUMS = "sums"
MAPS = ("consensus", "unfiltered", "half1", "half2", "mask")
LOCAL_RESOLUTION = "local-resolution"


@register("method", "backprojection")
@dataclasses.dataclass(frozen=True)
class BackProjection:
    """CTF-weighted back projection and Wiener filter; every image is seen once."""

    name: str = "backprojection"
    source: str = "Scheres 2012, J. Struct. Biol. 180:519 (eq. 3, one iteration); Rosenthal & Henderson 2003"
    batch_size: Annotated[Count, "particles inserted at a time"] = 512
    oversampling: Annotated[Count, "of the Fourier grid"] = 2

    represents = "voxel grid in Fourier space"
    infers = "nothing per particle"
    optimises = "posterior of the map, in closed form"
    needs_poses = True

    @property
    def microbatch(self) -> int:
        """Particles per contribution."""
        return self.batch_size

    def program(self, context: BuildContext) -> Program:
        """One pass that adds up, at whose end the maps are formed."""
        step = Step(self._contribute, self._maps(context))
        phase = Phase.whole("back-project", step, 1, self.batch_size)
        data = {"box": context.box, "pixel_size": context.pixel_size, "points": context.points}
        return Program(lambda: State(data=dict(data)), (phase,))

    def _contribute(self, state: State, batch: Any, draws: Draws) -> Contribution:
        return Contribution({SUMS: insertion(batch, self.oversampling)})

    def _maps(self, context: BuildContext) -> Callable[[State, dict[str, Tensor]], State]:
        def apply(state: State, totals: dict[str, Tensor]) -> State:
            sums = Accumulators.view(totals[SUMS], context.box, self.oversampling)
            tensors, words = maps_and_words(sums, context)
            return State(tensors=tensors, data=words)

        return apply

    def results(self, state: State, context: BuildContext) -> Results:
        """See ``results_of_maps``."""
        return results_of_maps(state)

    def unseen(self, state: State, context: BuildContext, known: Mapping[str, np.ndarray]) -> Unseen:
        """What is inferred of other particles."""
        return unseen_placed(state)

    def decoder(self, state: State, context: BuildContext) -> Callable[[Tensor | None], Tensor]:
        """See ``consensus_decoder``."""
        return consensus_decoder(state)


BACKPROJECTION = BackProjection()


def results_of_maps(state: State, table: tuple[str, ...] = ()) -> Results:
    """The maps of ``ConsensusMaps``, and of the local resolution (Å) where there is one; the four FSC curves; the
    resolution where they cross 0.143; and what ``table`` names of each particle."""
    maps = {name: state.tensors[name].cpu() for name in (*MAPS, LOCAL_RESOLUTION) if name in state.tensors}
    curves = {n: t.cpu().numpy().astype(np.float32) for n, t in state.tensors.items() if n.startswith("fsc_")}
    rows = {name: state.table[name].cpu().numpy() for name in table}
    return Results(rows, maps, state.data["metrics"], curves, tuple(state.data.get("notes", ())))


def consensus_decoder(state: State) -> Callable[[Tensor | None], Tensor]:
    """The consensus map, [1, D, D, D], or once per row where some z is asked for."""

    def decode(z: Tensor | None = None) -> Tensor:
        map_ = state.tensors["consensus"][None]
        return map_ if z is None else map_.expand(len(z), -1, -1, -1)

    return decode


SHARED = "the halves share their poses"


def maps_and_words(
    sums: Accumulators,
    context: BuildContext,
    independence: str = "accumulators",
    note: str = SHARED,
    mask: tuple[Tensor, str] | None = None,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The maps of ``ConsensusMaps`` and their FSC curves, and what metrics.json says of them. Uses the sums up."""
    maps = form_maps(sums, context.pixel_size, context.seed, mask)
    maps = dataclasses.replace(maps, curves=dataclasses.replace(maps.curves, independence=independence))
    return {**maps.named_maps(), **_curves(maps)}, _words(maps, note)


def _curves(maps: ConsensusMaps) -> dict[str, Tensor]:
    return {f"fsc_{name}": torch.as_tensor(curve) for name, curve in maps.curves.named().items()}


def _words(maps: ConsensusMaps, reason: str) -> dict[str, Any]:
    """What metrics.json will say."""
    curves = maps.curves
    how = {
        "unmasked": "FSC of the half maps at 0.143, no mask",
        "masked": f"FSC of the half maps at 0.143, mask {maps.mask_origin}",
        "corrected": "the masked FSC less what the mask alone makes (phases randomised from shell "
        f"{curves.first_randomised})",
    }
    note = f"; independence: {curves.independence} ({reason})"
    metrics = {
        f"resolution_{name}": {"value": curves.resolution(name), "unit": "Å", "how": words + note}
        for name, words in how.items()
    }
    return {"metrics": metrics}
