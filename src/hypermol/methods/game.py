"""The game as engine steps: critic × n, maker × 1; band limit, critics and restarts follow the maker's own turns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hypermol.engine import Contribution, Draws, Phase, State, Step
from hypermol.engine.gradient import PREFIX, Adam, GradientStep, initial_tensors
from hypermol.errors import ConvergenceError
from hypermol.methods.game_watch import Watch, after_turn, fresh, judged_anew, noted
from hypermol.methods.players import Players, Side

GAME, MEAN = "game", "mean."
CRITIC = "critic."


@dataclasses.dataclass
class Game:
    """``players(side, stage, attempt)`` makes the modules; ``bands(progress)``: shell and stage (which critic) when a
    share of the turns is over. State: parameters of both sides, ``mean.<name>`` the running mean of the maker's, and
    ``data["game"]``: turn, attempt and the figures by which it is watched. Nothing else steers, so that an interrupted
    game goes on as it would have."""

    players: Callable[[Side, int, int], Players]
    bands: Callable[[float], tuple[int, int]]
    stages: int
    settings: Any
    watch: Watch = dataclasses.field(default_factory=Watch)

    def __post_init__(self) -> None:
        settings, stages = self.settings, range(self.stages)
        shared = tuple(f"volume.{name}" for name in getattr(settings.volume, "shared", ()))
        self._critics = [self._step("critic", stage, ("critic",), settings.critic_update) for stage in stages]
        self._makers = [self._step("maker", stage, ("volume",), settings.update) for stage in stages]
        self._still = [self._step("maker", stage, shared, settings.update) for stage in stages] if shared else []

    def _step(self, side: Side, stage: int, moving: tuple[str, ...], adam: Adam) -> Step:
        return GradientStep(self.players(side, stage, 0), adam, moving, rate=self.settings.rate).step()

    def _of(self, side: Side, state: State, stage: int) -> Step:
        """What moves that side now."""
        if side == "critic":
            return self._critics[stage]
        still = self._still and self._progress(state) < self.settings.still
        return (self._still if still else self._makers)[stage]

    def begun(self, attempt: int) -> dict[str, Tensor]:
        """Parameters of both sides at the start of an attempt."""
        tensors = initial_tensors(self.players("maker", 0, attempt))
        made = {name.removeprefix(PREFIX): value for name, value in tensors.items() if not _critics(name)}
        return {**tensors, **{MEAN + name: value.clone() for name, value in made.items()}}

    def initial(self) -> State:
        """The first attempt, not begun."""
        return State(self.begun(0), data={GAME: fresh(0)})

    def phase(self, usual_passes: int, passes: int) -> Phase:
        """Turns until there have been enough: in ``usual_passes``, or, where the game begins again, ``passes`` at most.
        Steps state no norm of their update: a new critic's grows a thousandfold until its penalty holds it, and is no
        fault."""
        critic = Step(self._contribution("critic"), self._judged, self.settings.critic_steps)
        maker = Step(self._contribution("maker"), self._made)
        size = self.settings.batch_size
        return Phase("game", (critic, maker), passes, size, usual_passes=usual_passes, converged=self._over)

    def _over(self, state: State) -> bool:
        return state.data[GAME]["turn"] >= self.settings.turns

    def _progress(self, state: State) -> float:
        return min(1.0, state.data[GAME]["turn"] / self.settings.turns)

    def _at(self, state: State) -> tuple[State, int, int]:
        """The state as the steps see it, their progress that of the turns; the band limit; the stage."""
        progress = self._progress(state)
        clock = dataclasses.replace(state.clock, progress=progress)
        return dataclasses.replace(state, clock=clock), *self.bands(progress)

    def _contribution(self, side: Side) -> Callable[[State, Any, Draws], Contribution]:
        def contribute(state: State, batch: Any, draws: Draws) -> Contribution:
            if self._over(state):  # the rest of the last pass
                return Contribution()
            seen, band, stage = self._at(state)
            found = self._of(side, state, stage).contribute(seen, batch.limit(band), draws)
            told = {name: torch.as_tensor(value).double() for name, value in found.info.items() if name != "loss"}
            return dataclasses.replace(
                found, totals={**found.totals, **told}, info={**told, "shells": band * len(batch.particle)}
            )

        return contribute

    def _judged(self, state: State, totals: dict[str, Tensor]) -> State:
        """The critic has moved."""
        if not totals:
            return state
        seen, _, stage = self._at(state)
        state = self._of("critic", state, stage).apply(seen, totals)
        game = noted(state.data[GAME], **_means(totals, "gap", "slope"))
        return dataclasses.replace(state, data={**state.data, GAME: game})

    def _made(self, state: State, totals: dict[str, Tensor]) -> State:
        """The maker has moved: its mean follows, and the game is looked at. Raises ConvergenceError where it is lost
        and may not begin again."""
        if not totals:
            return state
        seen, _, stage = self._at(state)
        state = self._of("maker", state, stage).apply(seen, totals)
        self._averaged(state)
        game = after_turn(noted(state.data[GAME], **_means(totals, "apart")))
        if (fault := self.watch.fault(game)) is not None:
            return self._again(state, game, fault)
        state = dataclasses.replace(state, data={**state.data, GAME: game})
        if (new := self.bands(self._progress(state))[1]) != stage:
            return self._with_critic(state, new)
        return state

    def _averaged(self, state: State) -> None:
        """Running mean of the maker's parameters (Yazıcı et al. 2019): a game circles its solution. Short at first."""
        turn = state.data[GAME]["turn"]
        kept = min(self.settings.average, (1 + turn) / (10 + turn))
        for name, mean in state.tensors.items():
            if name.startswith(MEAN):
                mean.lerp_(state.tensors[PREFIX + name.removeprefix(MEAN)], 1 - kept)

    def _with_critic(self, state: State, stage: int) -> State:
        """A new critic, for a finer band."""
        game = judged_anew(state.data[GAME])
        kept = {name: value for name, value in state.tensors.items() if not _critics(name)}
        new = initial_tensors(self.players("critic", stage, game["attempt"]))
        critic = {name: value.to(_device(state)) for name, value in new.items() if _critics(name)}
        return State({**kept, **critic}, state.table, {**state.data, GAME: game})

    def _again(self, state: State, game: dict[str, Any], fault: str) -> State:
        attempt = game["attempt"] + 1
        if attempt > self.settings.restarts:
            raise ConvergenceError(
                f"the game of critic and maker is lost at turn {game['turn']} of {self.settings.turns}, attempt "
                f"{attempt}: {fault}; lower update.learning_rate or raise critic_steps"
            )
        notes = [*state.data.get("notes", []), f"attempt {attempt} was given up at turn {game['turn']}: {fault}"]
        tensors = {name: value.to(_device(state)) for name, value in self.begun(attempt).items()}
        return State(tensors, state.table, {**state.data, GAME: fresh(attempt), "notes": notes})


def _critics(name: str) -> bool:
    """Whether a tensor of the state, a moment of Adam perhaps, is the critic's."""
    return any(name.startswith(lead + CRITIC) for lead in (PREFIX, "adam.first.", "adam.second.", "adam.steps."))


def _means(totals: dict[str, Tensor], *names: str) -> dict[str, float]:
    return {name: float(totals[name] / totals["count"]) for name in names}


def _device(state: State) -> torch.device:
    return next(iter(state.tensors.values())).device
