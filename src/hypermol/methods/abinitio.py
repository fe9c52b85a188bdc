"""Ab initio: a map and poses from images alone, by stochastic gradient from random starts, then ``refine``."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any

import numpy as np
from torch import Tensor

from hypermol.engine import Phase, Program, State, Step
from hypermol.methods.abinitio_steps import Steps
from hypermol.methods.backprojection import consensus_decoder, results_of_maps
from hypermol.methods.method import Results
from hypermol.methods.refine import phases
from hypermol.methods.refine_steps import POSES
from hypermol.methods.refine_steps import Steps as RefineSteps
from hypermol.methods.unseen import Unseen
from hypermol.methods.unseen_rigid import unseen_searched
from hypermol.specs import BuildContext, Count, Portion, Share, register


@register("method", "abinitio")
@dataclasses.dataclass(frozen=True)
class AbInitio:
    """Each start: a map from random poses at low resolution, then steps of searched batches of half set 1. The start
    under which half set 2 is most likely goes on into ``refine``."""

    name: str = "abinitio"
    source: str = "Punjani et al. 2017, Nat. Methods 14:290 (stochastic gradient); Cappé & Moulines 2009 (its steps)"
    reference: Annotated[
        str, "map to begin with (MRC, any box and pixel size, as of `moments`) instead of random starts"
    ] = ""
    starts: Annotated[Count, "random beginnings, the best chosen by the other half set"] = 3
    first_shells: Annotated[Count, "resolution of a start, in shells (cycles per box)"] = 10
    last_shells: Annotated[Count, "resolution at its end"] = 12
    images: Annotated[Count, "particles that a start looks at, again and again where there are fewer"] = 14_000
    step: Annotated[Share, "how much of a map each batch replaces"] = 0.15
    first_batch: Annotated[Count, "particles at a time of a start's first half (of both half sets)"] = 200
    batch_size: Annotated[Count, "particles at a time later (of both half sets)"] = 500
    start: Annotated[Share, "share of Nyquist of the found map that refinement trusts"] = 0.25
    search_passes: Annotated[Count, "of refinement, with every pose searched anew"] = 3
    local_passes: Annotated[Count, "of refinement, with poses refined where they are"] = 4
    shift_range: Annotated[Portion, "how far a molecule may be off centre, in boxes"] = 0.08
    kept: Annotated[Count, "candidates that a search keeps after its first level; fewer later"] = 24
    symmetry: Annotated[
        str,
        "point group of the molecule: C1, C4, D2, T, O, I …; starts do without, then its axes are put as in RELION",
    ] = "C1"

    mask = "auto"
    contrast, defocus, local_resolution = False, False, True
    represents = "voxel grid in Fourier space, one per half set"
    infers = "pose, by search"
    optimises = "likelihood of poses and map, by stochastic gradient, then in turns"
    needs_poses = False
    fewest_per_half = 20

    @property
    def microbatch(self) -> int:
        """Particles per contribution."""
        return self.batch_size

    def program(self, context: BuildContext) -> Program:
        """Every start, the choice, and refinement of the chosen map; of the given one, where there is one."""
        steps, refining = Steps(self, context), RefineSteps(self, context)
        if self.reference:
            return Program(refining.initial, phases(self, refining))
        found, seen = start_phases(self, steps, context)

        def choose(state: State, totals: dict[str, Tensor]) -> State:
            chosen, maps = steps.chosen(state, totals)
            return refining.begun(chosen, maps[0], int(chosen.data["band"]))

        judging, seen = (Step(steps.judge, choose),), seen + steps.judged
        choice = Phase("choose", judging, 1, self.batch_size, apply_every=None, images=seen, enter=steps.gathered)
        return Program(steps.initial, (*found, choice, *phases(self, refining)))

    def results(self, state: State, context: BuildContext) -> Results:
        """Maps, their curves and resolutions; pose and log-likelihood (up to a constant) of each particle."""
        return results_of_maps(state, POSES)

    def unseen(self, state: State, context: BuildContext, known: Mapping[str, np.ndarray]) -> Unseen:
        """What is inferred of other particles."""
        return unseen_searched(self, state, context)

    def decoder(self, state: State, context: BuildContext) -> Callable[[Tensor | None], Tensor]:
        """The map of all particles, once per row asked for."""
        return consensus_decoder(state)


ABINITIO = AbInitio()


def _start(settings: Any, steps: Steps, number: int, name: str) -> tuple[Phase, ...]:
    """The phases of one start, each with the particles that it looks at: both half sets are read and one is used.
    Small batches first, whose noise leaves poor maps again."""
    size = settings.batch_size
    random, climb = (Step(steps.scatter, steps.moved),), (Step(steps.climb, steps.moved),)
    begin = partial(steps.anew, number=number)
    return (
        Phase(f"{name}, random", random, 1, size, images=size, enter=begin),
        Phase(f"{name}, climb", climb, 1, settings.first_batch, images=settings.images),
        Phase(f"{name}, settle", climb, 1, size, images=settings.images // 2),
        Phase(f"{name}, sharpen", climb, 1, size, images=settings.images // 2, enter=steps.sharper),
    )


def start_phases(
    settings: Any,
    steps: Steps,
    context: BuildContext,
    seen: int = 0,
    kind: str = "start",
    parts: Callable[[Any, Steps, int, str], tuple[Phase, ...]] = _start,
) -> tuple[list[Phase], int]:
    """Every start, and how many particles the job has ``seen`` when all of them are over. ``settings``: an
    ``AbInitio``, or what has its fields; ``parts``: the phases of one, by its number and its name."""
    largest = max(settings.first_batch, settings.batch_size)
    found: list[Phase] = []
    for number in range(settings.starts):
        for part in parts(settings, steps, number, f"{kind} {number + 1} of {settings.starts}"):
            # the batch that ended a phase may have gone beyond it; a phase counts what all before it have seen too
            images = max(part.images or 0, min(largest, context.count))
            seen += images
            found.append(dataclasses.replace(part, passes=math.ceil(images / context.count), images=seen))
    return found, seen
