"""Refinement of poses and map of a rigid molecule: each half set against its own map (gold standard)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import numpy as np
from torch import Tensor

from hypermol.engine import Phase, Program, State, Step
from hypermol.methods.backprojection import consensus_decoder, results_of_maps
from hypermol.methods.method import Results
from hypermol.methods.refine_optics import Optics
from hypermol.methods.refine_steps import POSES, Steps
from hypermol.methods.unseen import Unseen
from hypermol.methods.unseen_rigid import unseen_searched
from hypermol.specs import BuildContext, Count, Dimension, Portion, Positive, Share, register


@register("method", "refine")
@dataclasses.dataclass(frozen=True)
class Refine:
    """Search of all poses against the half set's own map, then refinement near them, the resolution growing as far as
    the half maps agree."""

    name: str = "refine"
    source: str = "Penczek et al. 1994 (projection matching); Scheres & Chen 2012, Nat. Methods 9:853 (gold standard)"
    reference: Annotated[
        str, "map to begin with (MRC, any box and pixel size); default: back projection from the given poses"
    ] = ""
    start: Annotated[Share, "share of Nyquist of the reference that is trusted"] = 0.25
    search_passes: Annotated[Dimension, "with every pose searched anew; 0: from the given ones on"] = 3
    local_passes: Annotated[Count, "with poses refined where they are"] = 4
    shift_range: Annotated[Portion, "how far a molecule may be off centre, in boxes"] = 0.08
    kept: Annotated[Count, "candidates that a search keeps after its first level; fewer later"] = 24
    mask: Annotated[str, "where the molecule is: auto, sphere, or a map file"] = "auto"
    symmetry: Annotated[str, "point group of the molecule, axes as in RELION: C1, C4, D2, T, O, I …"] = "C1"
    contrast: Annotated[bool, "refine the contrast of each particle"] = False
    defocus: Annotated[bool, "refine the defocus of each particle, from the local passes on"] = False
    defocus_range: Annotated[Positive, "largest change of defocus that is looked at, Å"] = 2000.0
    local_resolution: Annotated[bool, "write a map of the local resolution of the final half maps"] = True
    batch_size: Annotated[Count, "particles at a time"] = 256

    represents = "voxel grid in Fourier space, one per half set"
    infers = "pose, by search"
    optimises = "maximum likelihood of poses, closed-form posterior of the map, in turns"
    needs_poses = False
    writes_optics = True
    fewest_per_half = 10

    @property
    def needs_ctf(self) -> bool:
        """Whether images must carry a CTF."""
        return self.defocus

    @property
    def microbatch(self) -> int:
        """Particles per contribution."""
        return self.batch_size

    def program(self, context: BuildContext) -> Program:
        """Search, refine, and the final maps. Raises ConfigError where there is neither a reference nor poses."""
        steps = Steps(self, context)
        return Program(steps.initial, phases(self, steps))

    def results(self, state: State, context: BuildContext) -> Results:
        """Maps, their curves and resolutions; pose and log-likelihood (up to a constant) of each particle."""
        return results_of_maps(state, (*POSES, *Optics.of(self).columns))

    def unseen(self, state: State, context: BuildContext, known: Mapping[str, np.ndarray]) -> Unseen:
        """What is inferred of other particles."""
        return unseen_searched(self, state, context)

    def decoder(self, state: State, context: BuildContext) -> Callable[[Tensor | None], Tensor]:
        """The map of all particles, once per row asked for."""
        return consensus_decoder(state)


REFINE = Refine()


def phases(settings: Any, steps: Steps) -> tuple[Phase, ...]:
    """Passes over all particles from a reference on; ``abinitio``, whose settings are called the same, ends so."""
    search, local = Step(steps.search, steps.half_maps), Step(steps.climb, steps.half_maps)
    size = settings.batch_size
    return (
        *((Phase.whole("search", search, settings.search_passes, size),) if settings.search_passes else ()),
        Phase.whole("refine", local, settings.local_passes, size),
        Phase.whole("final maps", Step(steps.climb, steps.final_maps), 1, size),
    )
