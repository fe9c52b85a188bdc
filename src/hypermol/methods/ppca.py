"""Principal volumes in closed form: probabilistic PCA by expectation-maximisation, poses known.

Two models, one per half set, are fitted independently, so that what they share is signal: it gives the Wiener prior of
each component, and the likelihood of the other half says how many components there are. Then all images together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import numpy as np
from torch import Tensor

from hypermol.engine import Phase, Program, State, Step
from hypermol.methods import principal_volumes
from hypermol.methods.method import Results
from hypermol.methods.ppca_steps import Steps
from hypermol.methods.unseen import Unseen
from hypermol.methods.unseen_linear import unseen_linear
from hypermol.reconstruction import CURVED, LEAST_PARTICLES
from hypermol.specs import BuildContext, Count, Share, register


@register("method", "ppca")
@dataclasses.dataclass(frozen=True)
class PrincipalVolumes:
    """X = a C P(R)(μ + Σ z_c U_c) + noise, z ~ N(0, 1), by expectation-maximisation.

    ``passes`` with a model per half see up to ``march_start`` of Nyquist; then the band grows, to Nyquist or a little
    beyond what the halves agree on. Maps from the images near z follow motions that a few components cannot.
    """

    name: str = "ppca"
    source: str = "Tipping & Bishop 1999, J. R. Stat. Soc. B 61:611; Punjani & Fleet 2021, J. Struct. Biol. 213:107702"
    z_dim: Annotated[Count, "most components"] = 6
    choose: Annotated[bool, "fewer components where the other half's images speak against them"] = True
    passes: Annotated[Count, "with a model per half, at low resolution"] = 8
    march_passes: Annotated[Count, "more of them, while the resolution grows as far as the halves agree"] = 8
    joint_passes: Annotated[Count, "with one model of all particles"] = 2
    batch_size: Annotated[Count, "particles at a time"] = 500
    march_start: Annotated[Share, "share of Nyquist at which the resolution begins"] = 0.25
    contrast: Annotated[bool, "infer each particle's contrast (its factor a)"] = True
    mask: Annotated[str, "where components may differ from zero: auto, sphere, or a map file (a focus mask)"] = "auto"
    oversampling: Annotated[Count, "of the Fourier grid"] = 2
    maps_by: Annotated[
        Literal["decoder", "regression"], "maps by the components, or from the images near z (600 particles or more)"
    ] = "decoder"

    represents = "mean and principal volumes on a Fourier grid"
    infers = "z, closed-form Gaussian posterior; contrast"
    optimises = "maximum a posteriori, in closed form, by EM"
    needs_poses = True
    fewest_per_half = 10

    @property
    def microbatch(self) -> int:
        """Particles per contribution."""
        return self.batch_size

    def program(self, context: BuildContext) -> Program:
        """Halves apart, the number of components, finer, again, all together, and what each particle is."""
        steps = Steps(self, context)
        fit = Step(steps.fit_halves, steps.halves_maps)
        return Program(
            steps.initial,
            (
                self._phase("components", fit, self.passes),
                self._phase("held out", Step(steps.held_out, steps.promising)),
                self._phase("sharpen", fit, self.march_passes),
                self._phase("held out again", Step(steps.held_out, steps.confirmed)),
                self._phase("together", Step(steps.fit_all, steps.joint_maps), self.joint_passes),
                self._phase("estimate", Step(steps.estimate, steps.finished)),
            ),
        )

    def _phase(self, name: str, step: Step, passes: int = 1) -> Phase:
        return Phase.whole(name, step, passes, self.batch_size)

    def results(self, state: State, context: BuildContext) -> Results:
        """See ``principal_volumes``."""
        how = "FSC at 0.143 between two models, each fitted to one half set alone; no mask"
        return principal_volumes.results(state, context.pixel_size, how, self._words(state))

    def _words(self, state: State) -> tuple[str, ...]:
        kept = len(state.tensors["joint"]) - 1
        if kept == 0:
            return (principal_volumes.NO_MOTION,)
        words = f"{kept} of {self.z_dim} components kept: {principal_volumes.CONFIRMED}"
        if self.maps_by == "decoder":
            return (words,)
        if len(state.table["z"]) < LEAST_PARTICLES:
            return words, f"maps by the components: too few particles for maps from images ({LEAST_PARTICLES})"
        if "class_probability" in state.table:
            return words, principal_volumes.said_of_states(state.table["class_probability"])
        bend = state.data.get("bend")
        if bend is not None and bend > CURVED:
            return words, principal_volumes.said_of_a_curve(bend)
        return words, (
            "a continuum: z falls into no separate states; maps at a conformation are made from the images near it, as "
            "few components blur a turn"
        )

    def unseen(self, state: State, context: BuildContext, known: Mapping[str, np.ndarray]) -> Unseen:
        """What is inferred of other particles."""
        return unseen_linear(self, state, context, known)

    def decoder(self, state: State, context: BuildContext) -> Callable[[Tensor | None], Tensor]:
        """z [n, K] → μ + Σ z_c U_c; None: μ."""
        return principal_volumes.decoder(state)


PPCA = PrincipalVolumes()
