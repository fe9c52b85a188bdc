"""Discrete classes in closed form: K maps by expectation-maximisation, poses known.

Each half set has its own models, which share no image: what their maps have in common is signal and gives the prior,
and the images of the other half say how many classes there are. Then one model of all images.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated

import numpy as np
from torch import Tensor

from hypermol.engine import Phase, Program, State, Step
from hypermol.methods import classify_results
from hypermol.methods.classify_choice import Choice
from hypermol.methods.classify_merge import Merging
from hypermol.methods.classify_start import Start
from hypermol.methods.classify_steps import Steps
from hypermol.methods.method import Results
from hypermol.methods.unseen import Unseen
from hypermol.methods.unseen_classes import unseen_classes
from hypermol.specs import Bounds, BuildContext, Count, Dimension, Portion, Share, register


@register("method", "classify")
@dataclasses.dataclass(frozen=True)
class Classes:
    """X = a C P(R) V_c + noise, c with probability π_c, by expectation-maximisation.

    For each number of classes one start is from clusters of principal coordinates, and ``restarts`` are random; all are
    in a coarse box. The best goes on, while the band grows to Nyquist or a little beyond what the halves agree on, and
    until particles cease to change class.
    """

    name: str = "classify"
    source: str = "Sigworth 1998, J. Struct. Biol. 122:328; Scheres et al. 2007, Nat. Methods 4:27; poses known"
    classes: Annotated[int, Bounds(2), "most classes"] = 6
    choose: Annotated[bool, "fewer classes where the other half's images speak against them"] = True
    restarts: Annotated[Dimension, "starts from particles drawn at random, for each number of classes"] = 2
    component_passes: Annotated[Count, "for the principal coordinates whose clusters are the first start"] = 8
    start_passes: Annotated[Count, "at most so many of each start, at low resolution"] = 20
    passes: Annotated[Count, "at most so many of the best start, while the resolution grows"] = 30
    joint_passes: Annotated[Count, "with one model of all particles"] = 3
    batch_size: Annotated[Count, "particles at a time"] = 500
    start_band: Annotated[Share, "share of Nyquist that the starts see"] = 0.5
    contrast: Annotated[bool, "infer each particle's contrast (its factor a)"] = True
    mask: Annotated[str, "outside of which classes do not differ: auto, sphere, or a map file"] = "auto"
    smallest: Annotated[Portion, "share of the particles below which a class is begun anew"] = 0.005
    oversampling: Annotated[Count, "of the Fourier grid"] = 2

    represents = "K maps on one Fourier grid"
    infers = "class posterior, in closed form; contrast"
    optimises = "maximum a posteriori, in closed form, by EM"
    needs_poses = True
    fewest_per_half = 10

    @property
    def microbatch(self) -> int:
        """Particles per contribution."""
        return self.batch_size

    def program(self, context: BuildContext) -> Program:
        """Coordinates to start from, all starts, the best of them, finer, again, all together, and the classes."""
        start, steps, merging = Start(self, context), Steps(self, context), Merging(self, context)
        fit = Step(steps.fit_halves, steps.halves_maps)
        choice, merge = Choice(self, context, steps), Step(merging.pairs, merging.merged)
        confirmed = (
            self._phase("held out again", Step(choice.held_out, choice.confirmed)),
            self._phase("merging", merge, self.classes - 1, converged=merging.settled),
        )
        return Program(
            start.initial,
            (
                self._phase("components", Step(start.fit_components, start.components), self.component_passes),
                self._phase("coordinates", Step(start.coordinates)),
                self._phase("starts", fit, self.start_passes, start.candidates, steps.settled),
                self._phase("held out", Step(choice.held_out, choice.promising)),
                self._phase("classes", fit, self.passes, converged=steps.settled),
                *(confirmed if self.choose else ()),
                self._phase("together", Step(steps.fit_all, steps.joint_maps), self.joint_passes, steps.together),
                self._phase("estimate", Step(steps.estimate), enter=steps.occupied),
            ),
        )

    def _phase(
        self,
        name: str,
        step: Step,
        passes: int = 1,
        enter: Callable[[State], State] = lambda state: state,
        converged: Callable[[State], bool] | None = None,
    ) -> Phase:
        return Phase.whole(name, step, passes, self.batch_size, converged=converged, enter=enter)

    def results(self, state: State, context: BuildContext) -> Results:
        """See ``classify_results.results``."""
        return classify_results.results(state, context)

    def unseen(self, state: State, context: BuildContext, known: Mapping[str, np.ndarray]) -> Unseen:
        """What is inferred of other particles."""
        return unseen_classes(self, state, context)

    def decoder(self, state: State, context: BuildContext) -> Callable[[Tensor | None], Tensor]:
        """z [n, d] → maps: the class's own at the z of a class, in between a mixture; None: the mean of all."""
        return classify_results.decoder(state)


CLASSIFY = Classes()
