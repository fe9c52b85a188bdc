"""Classes with unknown poses: K maps, and the class and pose of every particle, from images alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any

import numpy as np
from torch import Tensor

from hypermol.engine import Phase, Program, State, Step
from hypermol.errors import ConfigError
from hypermol.methods import classify_results, classify_steps
from hypermol.methods.abinitio import start_phases
from hypermol.methods.abinitio_steps import Steps as MapSteps
from hypermol.methods.classify_abinitio_start import APART, Beginning, carrying, posed
from hypermol.methods.classify_abinitio_steps import Steps
from hypermol.methods.classify_choice import Choice
from hypermol.methods.classify_start import Start
from hypermol.methods.method import Results
from hypermol.methods.refine_steps import Steps as RefineSteps
from hypermol.methods.unseen import Unseen
from hypermol.methods.unseen_classes import unseen_classes_posed
from hypermol.specs import Bounds, BuildContext, Count, Dimension, Portion, Share, register

HOW = (
    "FSC at 0.143 between two models, each fitted to one half set alone, poses by its own maps, beyond the resolution "
    "that both began with; no mask"
)


ROUGH = 2  # order of the grid of rotations (15°)
FEW = 3  # classes that an image is compared with when they have become different


def _unchanged(state: State) -> State:
    return state


@register("method", "classify-abinitio")
@dataclasses.dataclass(frozen=True)
class ClassifyAbInitio:
    """X = a C P(R) V_c + noise, expectation-maximisation over class c and pose R at once.

    It begins twice: with the classes that are found at the poses of one consensus map, and with K maps grown from
    random poses; half set 2 chooses. Then each half goes on by itself, every particle with a few poses in every class.
    """

    name: str = "classify-abinitio"
    source: str = "Scheres et al. 2007, Nat. Methods 4:27; Lyumkis et al. 2013 (FREALIGN); Punjani et al. 2017"
    classes: Annotated[int, Bounds(1), "how many"] = 3
    starts: Annotated[Dimension, "random beginnings of the consensus map, the best chosen by half set 2"] = 2
    apart_starts: Annotated[Dimension, "random beginnings of all class maps at once, without a consensus"] = 2
    first_shells: Annotated[Count, "resolution of a start, in shells (cycles per box)"] = 10
    last_shells: Annotated[Count, "resolution at its end"] = 12
    images: Annotated[Count, "particles that a start of the consensus looks at, again and again"] = 14_000
    apart_images: Annotated[Count, "particles that one of all class maps looks at, for each class"] = 15_000
    step: Annotated[Share, "how much of a map each batch replaces"] = 0.15
    first_batch: Annotated[Count, "particles at a time of a start's first half (of both half sets)"] = 200
    batch_size: Annotated[Count, "particles at a time later (of both half sets)"] = 500
    start: Annotated[Share, "share of Nyquist of a found map that refinement trusts"] = 0.25
    consensus_passes: Annotated[Count, "of refinement of the consensus map, every pose searched anew"] = 2
    local_passes: Annotated[Count, "of refinement of the consensus map, poses refined where they are"] = 2
    restarts: Annotated[Dimension, "starts of the classes at its poses from particles drawn at random"] = 2
    component_passes: Annotated[Count, "for the principal coordinates whose clusters are the first start"] = 8
    start_passes: Annotated[Count, "at most so many of each start at its poses, at low resolution"] = 20
    start_band: Annotated[Share, "share of Nyquist that these starts see"] = 0.5
    search_passes: Annotated[Count, "over class and pose, every pose searched anew in every class, at most"] = 12
    passes: Annotated[Count, "at most so many more, poses refined where they are"] = 8
    joint_passes: Annotated[Count, "with one model of all particles"] = 2
    hypotheses: Annotated[Count, "poses of each particle in each class"] = 2
    shift_range: Annotated[Portion, "how far a molecule may be off centre, in boxes"] = 0.08
    kept: Annotated[Count, "candidates that a search keeps after its first level; fewer later"] = 12
    contrast: Annotated[bool, "infer each particle's contrast (its factor a)"] = True
    mask: Annotated[str, "outside of which classes do not differ: auto, sphere, or a map file"] = "auto"
    smallest: Annotated[Portion, "share of the particles below which a class is begun anew"] = 0.005
    oversampling: Annotated[Count, "of the Fourier grid"] = 2

    choose = False  # of the classes at the poses of the consensus map: the number is given
    symmetry = "C1"  # axes of a found map lie anywhere
    represents = "K maps on one Fourier grid, one set per half set"
    infers = "class and pose by search; contrast; z: principal coordinates of the class maps"
    optimises = "likelihood summed over classes and poses, by EM"
    needs_poses = False
    fewest_per_half = 20

    @property
    def microbatch(self) -> int:
        """Particles per contribution."""
        return self.batch_size

    def check(self) -> None:
        """Raises ConfigError where there is nothing to begin with."""
        if self.starts == 0 and (self.apart_starts == 0 or self.classes == 1):
            raise ConfigError("starts=0: with apart_starts=0, or with one class, there is nothing to begin with")

    def program(self, context: BuildContext) -> Program:
        """Starts of both kinds, the choice between them, and EM over class and pose."""
        beginning, steps = Beginning(self, context), Steps(self, context)
        apart = self.classes > 1 and self.apart_starts > 0
        found, seen = self._apart(context) if apart else ([], 0)
        if self.starts:
            found += [carrying(phase) for phase in self._consensus(context, seen)]
        if self.starts and self.classes > 1:
            found += [carrying(phase) for phase in self._at_poses(context)]
        if self.starts and apart:
            found.append(self._choice(beginning))
        enter = beginning.numbered if self.starts else beginning.from_random
        if self.classes == 1:
            enter = beginning.from_refined
        elif self.starts and apart:
            enter = _unchanged
        search, climb = Step(steps.search, steps.halves_maps), Step(steps.climb, steps.halves_maps)
        joint = Step(steps.climb_all, steps.joint_maps)
        found += [
            self._phase("class and pose, search", search, self.search_passes, enter, steps.searched),
            self._phase("class and pose, refine", climb, self.passes, converged=steps.settled),
            self._phase("together", joint, self.joint_passes, steps.together),
            self._phase("estimate", Step(steps.estimate), enter=steps.occupied),
        ]
        return Program(MapSteps(self, context).initial, tuple(found))

    def _apart(self, context: BuildContext) -> tuple[list[Phase], int]:
        """K maps grown from random poses, the best of some; and how many particles have been seen then."""
        settings = dataclasses.replace(self, starts=self.apart_starts, images=self.apart_images * self.classes)
        steps = MapSteps(settings, context, self.classes)
        found, seen = start_phases(settings, steps, context, kind="start of all classes", parts=_grown)

        def choose(state: State, totals: dict[str, Tensor]) -> State:
            chosen, maps = steps.chosen(state, totals)
            notes = [f"all class maps at once: {words}" for words in chosen.data["notes"]]
            return State({APART: maps, **chosen.tensors}, chosen.table, {**chosen.data, "notes": notes})

        return [*found, _choice("choose among those of all classes", steps, choose, self.batch_size, seen)], (
            seen + steps.judged
        )

    def _consensus(self, context: BuildContext, seen: int) -> list[Phase]:
        """One map of all particles, ab initio, and their poses."""
        steps = MapSteps(self, context)
        refining = RefineSteps(dataclasses.replace(self, mask="auto", contrast=False), context)
        found, seen = start_phases(self, steps, context, seen)

        def choose(state: State, totals: dict[str, Tensor]) -> State:
            chosen, maps = steps.chosen(state, totals)
            said = [*state.data.get("notes", []), *(f"consensus map: {words}" for words in chosen.data["notes"])]
            return refining.begun(State(chosen.tensors, chosen.table, {**chosen.data, "notes": said}), maps[0])

        search, local = Step(refining.search, refining.half_maps), Step(refining.climb, refining.half_maps)
        return [
            *found,
            _choice("choose", steps, choose, self.batch_size, seen),
            self._phase("consensus, search", search, self.consensus_passes),
            self._phase("consensus, refine", local, self.local_passes),
        ]

    def _at_poses(self, context: BuildContext) -> list[Phase]:
        """Classes at the poses of the consensus map, as ``classify`` finds them."""
        start, steps = Start(self, context), classify_steps.Steps(self, context)
        choice, fit = Choice(self, context, steps), Step(posed(steps.fit_halves), steps.halves_maps)
        components = Step(posed(start.fit_components), start.components)
        held_out = Step(posed(choice.held_out), choice.promising)

        def begun(state: State) -> State:
            fresh = start.initial()
            return State(fresh.tensors, state.table, {**state.data, **fresh.data})

        return [
            self._phase("components", components, self.component_passes, begun),
            self._phase("coordinates", Step(posed(start.coordinates))),
            self._phase("starts at these poses", fit, self.start_passes, start.candidates, steps.settled),
            self._phase("held out", held_out),
        ]

    def _choice(self, beginning: Beginning) -> Phase:
        return self._phase("choose the beginning", Step(beginning.judge, beginning.chosen), enter=beginning.compared)

    def _phase(
        self,
        name: str,
        step: Step,
        passes: int = 1,
        enter: Callable[[State], State] = _unchanged,
        converged: Callable[[State], bool] | None = None,
    ) -> Phase:
        return Phase.whole(name, step, passes, self.batch_size, converged=converged, enter=enter)

    def results(self, state: State, context: BuildContext) -> Results:
        """As ``classify_results.results``, with rotation and shift of each particle in its best class."""
        found = classify_results.results(state, context, HOW)
        poses = {name: state.table[name].cpu().numpy() for name in ("rotation", "shift")}
        notes = (*state.data.get("notes", ()), *found.notes)
        return dataclasses.replace(found, estimates={**found.estimates, **poses}, notes=notes)

    def unseen(self, state: State, context: BuildContext, known: Mapping[str, np.ndarray]) -> Unseen:
        """What is inferred of other particles."""
        return unseen_classes_posed(self, state, context)

    def decoder(self, state: State, context: BuildContext) -> Callable[[Tensor | None], Tensor]:
        """z [n, d] → maps: the class's own at the z of a class, in between a mixture; None: the mean of all."""
        return classify_results.decoder(state)


CLASSIFY_ABINITIO = ClassifyAbInitio()


def _grown(settings: Any, steps: MapSteps, number: int, name: str) -> tuple[Phase, ...]:
    """One start of all classes: rough poses while maps are rough, head starts until each has become one state's; then
    few classes for each image, and as many images as one map needs to become right."""
    size, images = settings.batch_size, settings.images

    def climb(last: int | None, **more: Any) -> tuple[Step, ...]:
        return (Step(partial(steps.climb, last=last, **more), steps.moved),)

    return (
        Phase(
            f"{name}, random",
            (Step(steps.scatter, steps.moved),),
            1,
            size,
            images=size,
            enter=partial(steps.anew, number=number),
        ),
        Phase(f"{name}, rough poses", climb(ROUGH, equally=True), 1, settings.first_batch, images=images // 10),
        Phase(
            f"{name}, equal shares", climb(ROUGH + 1, equally=True), 1, settings.first_batch, images=3 * images // 10
        ),
        Phase(f"{name}, own shares", climb(None, classes=FEW), 1, size, images=6 * images // 10),
    )


def _choice(name: str, steps: MapSteps, choose: Callable[..., State], size: int, seen: int) -> Phase:
    """One look at half set 2, under the maps of every start."""
    step, images = Step(steps.judge, choose), seen + steps.judged
    return Phase(name, (step,), 1, size, apply_every=None, images=images, enter=steps.gathered)
