"""Principal volumes of particles whose poses are not known, or known from a rigid molecule only: ours.

Poses and a mean map are found as in ``abinitio``; then ``ppca``, whose poses are searched again under all the
conformations that it knows, and climb with every pass. Poses found under one map are wrong by what moves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import numpy as np
from torch import Tensor

from hypermol.engine import Phase, Program, State, Step
from hypermol.errors import ConfigError
from hypermol.methods import principal_volumes
from hypermol.methods.abinitio import AbInitio
from hypermol.methods.auto import AUTO
from hypermol.methods.method import Results
from hypermol.methods.ppca import PrincipalVolumes
from hypermol.methods.ppca_abinitio_steps import Steps
from hypermol.methods.unseen import Unseen
from hypermol.methods.unseen_linear import unseen_posed
from hypermol.specs import BuildContext, Count, register


@register("method", "ppca-abinitio")
@dataclasses.dataclass(frozen=True)
class PosedPrincipalVolumes:
    """Rounds of: z by closed form with the poses as they are; every pose searched anew under the conformations found;
    components and poses in turns while the resolution grows."""

    name: str = "ppca-abinitio"
    source: str = (
        "hypermol's own: stochastic gradient (Punjani et al. 2017), then EM of Tipping & Bishop 1999 with poses"
    )
    begin: Annotated[Literal["search", "file"], "poses from random starts, or those of the particle file"] = "search"
    conformations: Annotated[Count, "under which all poses are searched again"] = 8
    poses: AbInitio = AbInitio(local_passes=3)  # noqa: RUF009 (frozen)
    volumes: PrincipalVolumes = AUTO

    represents = "mean and principal volumes on a Fourier grid"
    infers = "pose, by search with z integrated out; z, closed-form Gaussian posterior; contrast"
    optimises = "maximum a posteriori, in closed form, by EM; poses by search"
    microbatch = 250
    finds_poses = True
    fewest_per_half = 20

    @property
    def needs_poses(self) -> bool:
        """Whether the particles must come with poses."""
        return self.begin == "file"

    @property
    def maps_by(self) -> str:
        """As of ``ppca``."""
        return self.volumes.maps_by

    def check(self) -> None:
        """Raises ConfigError for a focus mask: poses move, and the map with them."""
        if self.volumes.mask not in ("auto", "sphere"):
            raise ConfigError(
                f"{self.name}: volumes.mask = {self.volumes.mask} cannot lie on a map whose poses are still to be "
                f"found; run -m {AUTO.name} with it on the particles that this run leaves"
            )

    def program(self, context: BuildContext) -> Program:
        """Poses and a mean map; components; poses anew; both finer; all together; and what each particle is."""
        self.check()
        steps = Steps(self, context)
        model = steps.volumes
        first = self.poses.program(context)
        fit = Step(model.fit_halves, model.halves_maps)
        freed, together = steps.freed(fit), steps.freed(Step(model.fit_all, model.joint_maps))
        phases = (
            *(first.phases[:-1] if self.begin == "search" else ()),  # but for its final maps
            self._phase("components", steps.placed(fit), self.volumes.passes, enter=steps.begun),
            self._phase("held out", steps.placed(Step(model.held_out, model.promising))),
            self._phase("look", steps.placed(Step(steps.look))),
            self._phase("poses anew", steps.searched(freed), enter=steps.gathered),
            self._phase("sharpen", steps.climbed(freed), self.volumes.march_passes),
            self._phase("held out again", steps.placed(Step(model.held_out, model.confirmed))),
            self._phase("together", steps.climbed(together), self.volumes.joint_passes),
            self._phase("estimate", steps.climbed(Step(model.estimate, steps.finished))),
        )
        return Program(first.initialise, phases)

    def _phase(self, name: str, step: Step, passes: int = 1, **rules: Callable[[State], State]) -> Phase:
        return Phase.whole(name, step, passes, self.volumes.batch_size, **rules)

    def results(self, state: State, context: BuildContext) -> Results:
        """As of ``ppca``, with the poses found: rotation [N, 3, 3], shift [N, 2 or 3] (Å)."""
        found = self.volumes.results(state, context)
        posed: dict[str, np.ndarray] = {name: state.table[name].cpu().numpy() for name in ("rotation", "shift")}
        notes = (*state.data.get("notes", ()), *found.notes)
        return dataclasses.replace(found, estimates={**found.estimates, **posed}, notes=notes)

    def unseen(self, state: State, context: BuildContext, known: Mapping[str, np.ndarray]) -> Unseen:
        """What is inferred of other particles."""
        return unseen_posed(self, state, context, known)

    def decoder(self, state: State, context: BuildContext) -> Callable[[Tensor | None], Tensor]:
        """z [n, K] → μ + Σ z_c U_c; None: μ."""
        return principal_volumes.decoder(state)


PPCA_ABINITIO = PosedPrincipalVolumes()
