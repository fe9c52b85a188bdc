"""Volume × pose × conformation × objective as one differentiable model, trained by gradient."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from hypermol.engine import Clock, Draws, Phase, Program, State, generator
from hypermol.engine.gradient import Adam, GradientStep, Known, Outcome, initial_tensors, install, table_rows
from hypermol.errors import ConfigError, DataError
from hypermol.methods.method import Results
from hypermol.methods.reading import POSE, own_consensus, reading
from hypermol.methods.unseen import Unseen
from hypermol.methods.unseen_fields import unseen_fields
from hypermol.objectives import Misfit, PoseCritic, residual_nll, residuals, widening
from hypermol.posteriors import Hypotheses
from hypermol.specs import BuildContext, Count, NonNegative, Portion, Share, register
from hypermol.volumes import Volume


@register("phase", "training")
@dataclasses.dataclass(frozen=True)
class Training:
    """Passes over the particles by gradient.

    Band-limit marching: images are used up to a shell that grows linearly from ``march_start`` of Nyquist to Nyquist at
    ``march_end`` of the passes. In ``cooling`` the rate falls linearly. A ``divergence_weight`` of 0 lets z be used
    before it is priced, so that it does not collapse onto its prior.
    """

    name: str = "train"
    passes: Annotated[Count, "over all particles"] = 20
    batch_size: Annotated[Count, "particles per step"] = 16
    march_start: Annotated[Share, "share of Nyquist at which the resolution begins; 1: all of it from the start"] = 1.0
    march_end: Annotated[Share, "share of the passes after which the resolution is full"] = 0.7
    cooling: Annotated[Portion, "share of the passes, at the end, in which the learning rate falls to 0"] = 0.0
    divergence_weight: Annotated[NonNegative, "factor of the objective's beta"] = 1.0

    def band_limit(self, progress: float, largest: int) -> int:
        """The largest shell used when ``progress`` (0 to 1) of the passes is over."""
        share = self.march_start + (1 - self.march_start) * min(1.0, progress / max(self.march_end, 1e-9))
        return max(2, min(largest, round(share * largest)))

    def grown(self, method: Composition) -> Composition:
        """The method as it goes on in and after this phase: with another network, say."""
        return method

    def check(self, method: Composition) -> None:
        """Raises ConfigError where the phase does not fit the method."""

    def planned(self, method: Composition, model: Model, context: BuildContext) -> tuple[Phase, ...]:
        """The engine's phases that this one stands for."""
        return (method.gradient_phase(self, model, context),)

    def rate(self, progress: float) -> float:
        """What the learning rate is multiplied by when ``progress`` (0 to 1) of the passes is over."""
        return min(1.0, (1 - progress) / max(self.cooling, 1e-9))


class Model(nn.Module):
    """The parts, called in turn: pose (which may answer for z as well), conformation, volume, objective. ``kept``: what
    training writes into the particle table besides what it moves. ``told(draws)``: rows that the parts are given beside
    those of the table. ``critic``: what z is charged for telling of the pose (``PoseCritic``). ``misfit``: what counts
    as noise besides (``Misfit``)."""

    def __init__(
        self,
        volume: Volume,
        pose: nn.Module,
        conformation: nn.Module,
        objective: Any,
        kept: tuple[str, ...] = (),
        told: Callable[[Draws], dict[str, Tensor]] | None = None,
        critic: nn.Module | None = None,
        misfit: Misfit | None = None,
    ) -> None:
        super().__init__()
        self.volume: Volume = volume
        self.critic, self.misfit = critic, misfit
        self.pose, self.conformation, self.objective, self.kept, self.told = pose, conformation, objective, kept, told

    def varied(self, **changes: Any) -> Model:
        """The same parts, the rest as told."""
        names = ("objective", "kept", "told", "critic", "misfit")
        rest = {**{name: getattr(self, name) for name in names}, **changes}
        return Model(self.volume, self.pose, self.conformation, **rest)

    def priced(self, weight: float) -> Model:
        """The same parts with β times ``weight``."""
        priced = dataclasses.replace(self.objective, price=self.objective.price * weight)
        return self if weight == 1 else self.varied(objective=priced)

    def compared(self, batch: Any) -> Any:
        """The batch with all that counts as noise."""
        return batch if self.misfit is None else self.misfit(batch)

    def forward(self, batch: Any, draws: Draws, rows: dict[str, Tensor]) -> Outcome:
        """Loss summed over the batch's particles; info: negative log likelihood (of the best hypothesis) and
        divergence, summed."""
        if self.told is not None:
            rows = {**rows, **self.told(draws)}
        pose = self.pose(batch, draws, rows)
        hypotheses = pose.combined(self.conformation(batch, pose, draws, rows))
        residual = residuals(self.volume, hypotheses, batch)
        compared = self.compared(batch)
        nll = residual_nll(residual, compared) + widening(batch, compared)
        loss = self.objective.loss(nll, hypotheses)
        if self.training and hypotheses.penalty is not None:
            loss = loss + hypotheses.penalty
        found = _estimates(nll, hypotheses)
        info: dict[str, Any] = {"nll": -found["log_likelihood"].detach().sum()}
        if hypotheses.divergence is not None:
            info["divergence"] = hypotheses.mean_divergence.detach().sum()
        running: dict[str, Tensor] = {}
        charged: Tensor | float = 0.0
        if self.critic is not None and "z" in found:
            charged, running["critic.mean"] = self.critic(found["rotation"], found["z"])
        if self.misfit is not None and self.training:
            best = residual.detach()[torch.arange(batch.size), nll.argmin(1)]
            running |= {f"misfit.{name}": value for name, value in self.misfit.told(batch, best).items()}
        if self.training:
            found = {name: row.detach() for name, row in found.items() if name in self.kept}
        return Outcome(loss.sum() + charged, found, info, running)


def _estimates(nll: Tensor, hypotheses: Hypotheses) -> dict[str, Tensor]:
    """What is kept of each particle: its likeliest hypothesis."""
    least, best = nll.min(1)
    found = {"log_likelihood": -least}
    for name in ("rotation", "shift", "z", "z_covariance"):
        if (value := getattr(hypotheses, name)) is not None:
            found[name] = value[:, 0] if value.shape[1] == 1 else value[torch.arange(len(best)), best]
    return found


@register("method", "composition")
@dataclasses.dataclass(frozen=True)
class Composition:
    """A method made of parts and trained by gradient; the defaults are those of the named method."""

    name: str
    source: str
    volume: Any
    pose: Any
    conformation: Any
    objective: Any
    update: Any = Adam()  # noqa: RUF009 (frozen)
    phases: tuple[Any, ...] = (Training(),)
    microbatch: Annotated[Count, "particles computed at once; changes memory, not results"] = 32
    independence: Annotated[
        NonNegative, "price of what an encoder's z tells of the pose, nats (tens to hundreds; 0: free)"
    ] = 0.0
    precision: Annotated[Literal["auto", "float32", "bfloat16"], "of network layers; the rest is float32 or better"] = (
        "auto"
    )

    @property
    def represents(self) -> str:
        """In words, for the table of methods."""
        return _words(self.volume)

    @property
    def infers(self) -> str:
        """In words, for the table of methods."""
        what = _words(self.conformation)
        return what if self.needs_poses else f"{_words(self.pose)}; {what}"

    @property
    def optimises(self) -> str:
        """In words, for the table of methods."""
        return f"{_words(self.objective)}, by {_words(self.update)}"

    @property
    def needs_poses(self) -> bool:
        """Whether the particles must come with poses."""
        return bool(getattr(self.pose, "needs_poses", False))

    def check(self) -> None:
        """Raises ConfigError where the parts do not fit each other."""
        drawn, found = self.volume, self.conformation
        if drawn.z_dim != found.z_dim:
            raise ConfigError(
                f"{self.name}: the volume ({drawn.kind}) has z_dim = {drawn.z_dim}, the conformation ({found.kind}) "
                f"{found.z_dim}; z_dim alone sets both, for example z_dim={max(drawn.z_dim, found.z_dim)}"
            )
        if getattr(self.pose, "z_dim", None) is not None and (self.pose.z_dim, found.kind) != (
            found.z_dim,
            "with-pose",
        ):
            raise ConfigError(
                f"{self.name}: the pose ({self.pose.kind}) answers for z as well, so that the conformation must be "
                f"with-pose of the same z_dim ({self.pose.z_dim}); found {found.kind} of {found.z_dim}"
            )
        if getattr(self.pose, "z_dim", None) is None and found.kind == "with-pose":
            raise ConfigError(
                f"{self.name}: the pose ({self.pose.kind}) does not answer for z; it needs a conformation"
            )
        if self.independence and (not found.z_dim or getattr(found, "z_from", "encoder") != "encoder"):
            raise ConfigError(
                f"{self.name}: independence = {self.independence:g} is a price on the z of an encoder, and this "
                f"method's z is from {getattr(found, 'z_from', 'nothing')}; leave it at 0"
            )
        for phase in self.phases:
            phase.check(self)

    def model(self, context: BuildContext, start: int = 0) -> Model:
        """The parts built; initial values are a function of the seed, and of ``start`` where a network begins anew.
        Raises ConfigError where the parts do not fit."""
        self.check()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator(context.seed, "network", start).initial_seed() if start else context.seed)
            volume, pose = self.volume.build(context), self.pose.build(context)
            critic = PoseCritic(volume.z_dim, self.independence) if self.independence else None
            conformation = self.conformation.build(context)
            misfit = Misfit(context) if getattr(self.objective, "misfit", False) else None
            return Model(volume, pose, conformation, self.objective, self._kept, critic=critic, misfit=misfit)

    def program(self, context: BuildContext) -> Program:
        """The training phases (modules as built: in training mode), then one pass that reads off what was inferred."""
        method, first, phases = self, self.model(context), list[Phase]()
        model = first
        for phase in self.phases:
            grown = phase.grown(method)
            if grown is not method:
                method, model = grown, grown.model(context)
            phases.extend(phase.planned(method, model, context))
        estimate = Phase.whole("estimate", reading(model, context, POSE if self._finds_poses else ()), 1, 256)
        return Program(lambda: self._initial(first, context), (*phases, estimate))

    def gradient_phase(
        self,
        phase: Training,
        model: Model,
        context: BuildContext,
        known: Known | None = None,
        moving: tuple[str, ...] = (),
        enter: Callable[[State], State] | None = None,
        band: Callable[[float], int] | None = None,
        parameters: tuple[str, ...] | None = None,
    ) -> Phase:
        """Passes of gradient steps. ``known``: see ``GradientStep``; by default poses that were found are read from the
        table. ``moving``: columns of the table that move, besides z where it is a table. ``parameters``: those of the
        model that move; None: all."""
        moving = (*moving, *(("z",) if self._z_moves else ()))
        read = _Read(tuple(name for name in POSE if self._finds_poses and name not in moving))
        adams = {name: dataclasses.replace(self.update, learning_rate=self._rate(name, context)) for name in moving}
        step = GradientStep(
            model.priced(phase.divergence_weight), self.update, parameters, moving, phase.rate, adams, known or read
        ).step()
        if band is None and phase.march_start < 1:
            band = _Band(phase, context.box // 2 - 1)
        start = enter or Phase.enter
        return Phase(phase.name, (step,), phase.passes, phase.batch_size, band_limit=band, enter=start)

    def _rate(self, name: str, context: BuildContext) -> float:
        """Length of a gradient step of a column of the table, in its units."""
        if name == "z":
            return float(getattr(self.conformation, "learning_rate", 0) or self.pose.z_rate)
        return float(self.pose.turn_rate if name == "rotation" else self.pose.shift_rate * context.pixel_size)

    @property
    def final(self) -> Composition:
        """The method as its last phase leaves it: what the final parameters belong to."""
        return functools.reduce(lambda method, phase: phase.grown(method), self.phases, self)

    @property
    def _z_moves(self) -> bool:
        """Whether each particle's z is itself a parameter."""
        return getattr(self.conformation, "z_from", "encoder") == "table"

    @property
    def _finds_poses(self) -> bool:
        """Whether poses are kept in the particle table."""
        return not self.needs_poses

    @property
    def _kept(self) -> tuple[str, ...]:
        """What training writes down: searches look for clusters of z."""
        return ("z",) if getattr(self.pose, "compares_clusters", False) and not self._z_moves else ()

    def _initial(self, model: Model, context: BuildContext) -> State:
        data = {"box": context.box, "pixel_size": context.pixel_size, "points": context.points, "count": context.count}
        state = State(tensors=initial_tensors(model), data=data, clock=Clock())
        if self._z_moves:
            shape = (context.count, self.conformation.z_dim)
            start = torch.randn(shape, generator=generator(context.seed, "z table"))
            state.table["z"] = self.conformation.spread * start
        return state

    def results(self, state: State, context: BuildContext) -> Results:
        """Estimates from the particle table; the map of a homogeneous volume, or at the median z."""
        names: tuple[str, ...] = ("z", "z_covariance", "log_likelihood", *(POSE if self._finds_poses else ()))
        estimates = {name: state.table[name].cpu().numpy() for name in names if name in state.table}
        z = None if "z" not in estimates else state.table["z"].median(0).values[None]
        name = "map" if z is None else "map-at-median-z"
        maps, notes = {name: self.decoder(state, context)(z)[0].cpu()}, []
        if self._finds_poses:
            own = own_consensus(state)
            return dataclasses.replace(own, estimates=estimates, maps={**maps, **own.maps})
        if context.consensus is not None:  # what a reader compares with
            try:
                maps["consensus"] = context.consensus().cpu()
            except DataError as error:  # an empty half-set, say: no reason to lose the run
                notes.append(f"no consensus map beside the results: {error}")
        return Results(estimates, maps, notes=tuple(notes))

    def unseen(self, state: State, context: BuildContext, known: Mapping[str, np.ndarray]) -> Unseen:
        """See ``unseen_fields``."""
        return unseen_fields(self, state, context, known)

    def decoder(self, state: State, context: BuildContext) -> Any:
        """z [n, d] → maps [n, D, D, D], in float32 whatever was trained in; None for a homogeneous volume."""
        model = self.final.model(dataclasses.replace(context, autocast=False))
        install(model, state).eval()
        return model.volume.to(next(iter(state.tensors.values())).device).maps


@dataclasses.dataclass(frozen=True)
class _Read:
    """Columns of the table, as far as it has them."""

    names: tuple[str, ...]

    def __call__(self, state: State, batch: Any, draws: Draws) -> dict[str, Tensor]:
        return table_rows(state, batch.particle, self.names)


def _words(spec: Any) -> str:
    """A part in words, for the table of methods."""
    return str(getattr(spec, "words", spec.kind))


@dataclasses.dataclass(frozen=True)
class _Band:
    phase: Training
    largest: int

    def __call__(self, progress: float) -> int:
        return self.phase.band_limit(progress, self.largest)
