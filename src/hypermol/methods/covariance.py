"""Principal volumes from the covariance of the volumes: least squares, no local minimum and no random start.

The mean first; then chosen columns of the covariance in Fourier space, regularised by the agreement of the half-sets;
their span; the covariance inside it; its leading components, as many as the other half's images confirm; and each
particle's posterior under them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated

import numpy as np
from torch import Tensor

from hypermol.engine import Phase, Program, State, Step
from hypermol.methods import principal_volumes
from hypermol.methods.covariance_steps import CovarianceSteps
from hypermol.methods.method import Results
from hypermol.methods.unseen import Unseen
from hypermol.methods.unseen_linear import unseen_linear
from hypermol.specs import BuildContext, Count, NonNegative, Positive, register


@register("method", "covariance")
@dataclasses.dataclass(frozen=True)
class CovarianceVolumes:
    """X = a C P(R)(μ + Σ z_c U_c) + noise, μ and Σ U_c U_cᵀ by least squares; z ~ N(0, 1) in closed form.

    Σ is known by ``columns`` of it, each from the images that pass within ``kernel`` shells of its place.
    """

    name: str = "covariance"
    source: str = "Gilles & Singer 2025, PNAS 122:e2419140122; Katsevich, Katsevich & Singer 2015, SIAM J. Imaging Sci."
    z_dim: Annotated[Count, "most components"] = 6
    choose: Annotated[bool, "fewer components where the other half's images speak against them"] = True
    columns: Annotated[Count, "columns of the covariance that are estimated"] = 48
    spacing: Annotated[NonNegative, "least distance between columns, in shells"] = 2.0
    kernel: Annotated[Positive, "how near to a column an image must pass, in shells"] = 1.5
    subspace: Annotated[Count, "leading dimensions kept of what the columns span"] = 20
    finest: Annotated[Count, "shell beyond which no column is taken"] = 62
    batch_size: Annotated[Count, "particles at a time"] = 500
    contrast: Annotated[bool, "infer each particle's contrast (its factor a)"] = True
    mask: Annotated[str, "where components may differ from zero: auto, sphere, or a map file (a focus mask)"] = "auto"
    oversampling: Annotated[Count, "of the Fourier grid"] = 2

    represents = "mean and principal volumes on a Fourier grid"
    infers = "z, closed-form Gaussian posterior; contrast"
    optimises = "least squares on second moments, in closed form"
    needs_poses = True
    fewest_per_half = 10

    @property
    def microbatch(self) -> int:
        """Particles per contribution."""
        return self.batch_size

    def program(self, context: BuildContext) -> Program:
        """Mean, which columns, columns, the covariance in their span, how many components, what each particle is."""
        steps = CovarianceSteps(self, context)
        last = (
            self._phase("held out", Step(steps.linear.held_out, steps.confirmed)),
            self._phase("estimate", Step(steps.estimate, steps.unit_variance)),
        )
        return Program(steps.initial, (*self.components(context), *last))

    def components(self, context: BuildContext) -> tuple[Phase, ...]:
        """The phases that end with the components of each half set: also a start for ``ppca``, whose state they leave
        (maps [2, C, D, D, D] of mean and components, fsc, power, mask, contrast_variance; data: band)."""
        steps = CovarianceSteps(self, context)
        return (
            self._phase("mean", Step(steps.add_images, steps.mean)),
            self._phase("variance", Step(steps.add_variance, steps.choose)),
            self._phase("columns", Step(steps.add_columns, steps.span)),
            self._phase("covariance", Step(steps.add_moments, steps.halves)),
        )

    def _phase(self, name: str, step: Step) -> Phase:
        return Phase.whole(name, step, 1, self.batch_size)

    def results(self, state: State, context: BuildContext) -> Results:
        """See ``principal_volumes``; and the variance (eigenvalue) that each component adds."""
        how = "FSC at 0.143 between the half sets, each with mean, columns and covariance of its own; components masked"
        components, tried = state.tensors["joint"][1:], len(state.data["held_out"])
        words, kept = principal_volumes.NO_MOTION, len(components)
        if kept:
            why = f"of {tried} components kept: {principal_volumes.CONFIRMED}"
            words = f"{kept} {why}" if self.choose else f"{kept} components, as asked for"
        found = principal_volumes.results(state, context.pixel_size, how, [words])
        variances, how = (
            {},
            "eigenvalue of the covariance of the volumes: squared length of the component, z having variance 1",
        )
        for number, map_ in enumerate(components, 1):
            value = float(map_.double().square().sum())
            variances[f"variance_component-{number}"] = {"value": value, "unit": "density²", "how": how}
        return dataclasses.replace(found, metrics={**found.metrics, **variances})

    def unseen(self, state: State, context: BuildContext, known: Mapping[str, np.ndarray]) -> Unseen:
        """What is inferred of other particles."""
        return unseen_linear(self, state, context, known)

    def decoder(self, state: State, context: BuildContext) -> Callable[[Tensor | None], Tensor]:
        """z [n, K] → μ + Σ z_c U_c; None: μ."""
        return principal_volumes.decoder(state)


COVARIANCE = CovarianceVolumes()
