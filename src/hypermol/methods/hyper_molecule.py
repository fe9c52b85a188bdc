"""Hyper-molecules: volumes, poses and conformations sampled from their joint posterior, for small problems."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated, Literal

from torch import Tensor

from hypermol.engine import Phase, Program, State, Step
from hypermol.errors import ConfigError
from hypermol.joint import MarkovChains
from hypermol.methods.abinitio import ABINITIO, AbInitio
from hypermol.methods.hyper_molecule_results import decoder, results
from hypermol.methods.hyper_molecule_steps import Steps
from hypermol.methods.method import Results
from hypermol.specs import BuildContext, Count, Dimension, NonNegative, Share, register
from hypermol.volumes import HarmonicBasis


@register("method", "hyper-molecule")
@dataclasses.dataclass(frozen=True)
class HyperMolecule:
    """X = C P(R) V(·, z) + noise, V linear in its coefficients under a Gaussian prior, R and z even over their domains,
    shifts normal. A Gibbs sampler: pose and z of each particle by Markov chains given the coefficients, the
    coefficients by an exact draw given those, and moves of all of them together (``joint/together.py``)."""

    name: str = "hyper-molecule"
    source: str = "Lederman, Andén & Singer 2020, Inverse Problems 36:044005"
    volume: HarmonicBasis = HarmonicBasis()  # noqa: RUF009 (frozen)
    sampler: MarkovChains = MarkovChains()  # noqa: RUF009
    search: AbInitio = ABINITIO
    start: Annotated[
        Literal["auto", "given", "search", "random"],
        "poses to begin with: the file's; found by `abinitio`; at random; auto: the file's if it has some, else found",
    ] = "auto"
    start_deg: Annotated[NonNegative, "how far from them chains begin, degrees"] = 3.0
    shift_spread: Annotated[Share, "prior deviation of each coordinate of the shift, in boxes"] = 0.06
    find_passes: Annotated[Count, "of independent chains, at whose end the likeliest goes on in all of them"] = 30
    coldness: Annotated[Share, "inverse temperature of the first of them, 1: the posterior itself"] = 0.3
    settle_passes: Annotated[Count, "more, with moves still tuned"] = 20
    samples: Annotated[Count, "draws that are kept of each chain, one a pass"] = 50
    together: Annotated[
        Dimension,
        "moves after each sweep of all particles and the volume, along what images hardly tell apart (a shift of the "
        "molecule, how z is spread)",
    ] = 4
    learn_powers: Annotated[bool, "infer how strongly the volume depends on each function of z"] = True
    batch_size: Annotated[Count, "particles at a time"] = 250

    represents = "orthogonal basis: radial × spherical harmonics × functions of z"
    infers = "pose and z, by Markov chain Monte Carlo"
    optimises = "joint posterior, sampled (Metropolis or HMC; exact draws of the volume)"
    needs_poses = False

    @property
    def fewest_per_half(self) -> int:
        """Particles of each half set that the search for a beginning needs."""
        return self.search.fewest_per_half if self.start == "search" else 0

    @property
    def microbatch(self) -> int:
        """Particles per contribution."""
        return self.batch_size

    def check(self) -> None:
        """Raises ConfigError where z does not fit its domain."""
        self.volume.conformations()

    def program(self, context: BuildContext) -> Program:
        """Where poses begin, chains that find, chains that settle, and the draws that are kept.

        Raises ConfigError where poses are asked of a file that has none.
        """
        if self.start == "given" and context.consensus is None:
            raise ConfigError("start = given: these particles have no poses; say start=search or start=random")
        found = self.start == "search" or (self.start == "auto" and context.consensus is None)
        steps, band = Steps(self, context), self.volume.band(context.box)
        first = self.search.program(context) if found else Program(steps.initial, ())

        def phase(name: str, step: Step, passes: int, enter: Callable[[State], State] | None = None) -> Phase:
            rules = {} if enter is None else {"enter": enter}
            return Phase.whole(name, step, passes, self.batch_size, band_limit=lambda progress: band, **rules)

        def rounds(name: str, step: Step, sweeps: int, enter: Callable[[State], State]) -> Phase:
            whole = phase(name, step, sweeps * steps.round, enter)
            beside = (Step(steps.beside, steps.led, times=self.together),) if self.together else ()
            return dataclasses.replace(whole, steps=(step, *beside))

        return Program(
            first.initialise,
            (
                *first.phases,
                phase("begin", Step(steps.begin, steps.first_volumes), 1, steps.entered),
                phase("find", Step(steps.find, steps.redrawn), self.find_passes),
                rounds("settle", Step(steps.settle, steps.redrawn), self.settle_passes, steps.gathered),
                rounds("sample", Step(steps.sample, steps.kept), self.samples, steps.recording),
            ),
        )

    def results(self, state: State, context: BuildContext) -> Results:
        """Posterior means and covariances of pose and z; the mean map and its standard deviation; how well chains
        mixed."""
        return results(self, state, context)

    def decoder(self, state: State, context: BuildContext) -> Callable[[Tensor | None], Tensor]:
        """z [n, d] → maps of the posterior mean of the volume; None: their mean over the particles."""
        return decoder(self, state, context)


HYPER_MOLECULE = HyperMolecule()
