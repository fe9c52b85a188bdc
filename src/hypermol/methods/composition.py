"""Volume × pose × conformation × objective as one differentiable model, trained by gradient."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from hypermol.engine import Clock, Contribution, Draws, Phase, Program, State, Step, generator
from hypermol.engine.gradient import PREFIX, Adam, GradientStep, Outcome, initial_tensors, install
from hypermol.errors import ConfigError, DataError
from hypermol.methods.method import Results
from hypermol.objectives import negative_log_likelihood
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

    def rate(self, progress: float) -> float:
        """What the learning rate is multiplied by when ``progress`` (0 to 1) of the passes is over."""
        return min(1.0, (1 - progress) / max(self.cooling, 1e-9))


class Model(nn.Module):
    """The parts, called in turn: pose, conformation, volume, objective."""

    def __init__(self, volume: Volume, pose: nn.Module, conformation: nn.Module, objective: Any) -> None:
        super().__init__()
        self.volume: Volume = volume
        self.pose, self.conformation, self.objective = pose, conformation, objective

    def priced(self, weight: float) -> Model:
        """The same parts with β times ``weight``."""
        objective = dataclasses.replace(self.objective, price=self.objective.price * weight)
        return self if weight == 1 else Model(self.volume, self.pose, self.conformation, objective)

    def forward(self, batch: Any, draws: Draws, rows: dict[str, Tensor]) -> Outcome:
        """Loss summed over the batch's particles; info: negative log likelihood and divergence, summed."""
        pose = self.pose(batch, draws, rows)
        hypotheses = pose.combined(self.conformation(batch, pose, draws, rows))
        nll = negative_log_likelihood(self.volume, hypotheses, batch)
        loss = self.objective.loss(nll, hypotheses)
        info: dict[str, Any] = {"nll": nll.mean(1).detach().sum()}
        if hypotheses.divergence is not None:
            info["divergence"] = hypotheses.divergence.detach().sum()
        return Outcome(loss.sum(), {} if self.training else _estimates(nll, hypotheses), info)


def _estimates(nll: Tensor, hypotheses: Hypotheses) -> dict[str, Tensor]:
    found = {"log_likelihood": -nll.mean(1)}
    if hypotheses.z is not None:
        found["z"] = hypotheses.z[:, 0]
    if hypotheses.z_covariance is not None:
        found["z_covariance"] = hypotheses.z_covariance[:, 0]
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
        return _words(self.conformation)

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

    def model(self, context: BuildContext) -> Model:
        """The parts built; initial values are a function of the seed. Raises ConfigError where they do not fit."""
        self.check()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(context.seed)
            volume, pose = self.volume.build(context), self.pose.build(context)
            return Model(volume, pose, self.conformation.build(context), self.objective)

    def program(self, context: BuildContext) -> Program:
        """The training phases (modules as built: in training mode), then one pass that reads off what was inferred."""
        model = self.model(context)
        moving_rows = ("z",) if self._rows_move else ()
        largest = context.box // 2 - 1
        phases = tuple(
            Phase(
                phase.name,
                (self._gradient_step(phase, model, moving_rows),),
                phase.passes,
                phase.batch_size,
                band_limit=None if phase.march_start >= 1 else _Band(phase, largest),
            )
            for phase in self.phases
        )
        reading = Step(_reader(model, moving_rows))
        estimate = Phase.whole("estimate", reading, 1, 256)
        return Program(lambda: self._initial(model, context), (*phases, estimate))

    def _gradient_step(self, phase: Training, model: Model, moving_rows: tuple[str, ...]) -> Step:
        rows = dataclasses.replace(self.update, learning_rate=self.conformation.learning_rate) if moving_rows else None
        priced = model.priced(phase.divergence_weight)
        return GradientStep(priced, self.update, None, moving_rows, rows, phase.rate).step()

    @property
    def _rows_move(self) -> bool:
        """Whether each particle's z is itself a parameter."""
        return getattr(self.conformation, "z_from", "encoder") == "table"

    def _initial(self, model: Model, context: BuildContext) -> State:
        data = {"box": context.box, "pixel_size": context.pixel_size, "points": context.points}
        state = State(tensors=initial_tensors(model), data=data, clock=Clock())
        if self._rows_move:
            shape = (context.count, self.conformation.z_dim)
            start = torch.randn(shape, generator=generator(context.seed, "z table"))
            state.table["z"] = self.conformation.spread * start
        return state

    def results(self, state: State, context: BuildContext) -> Results:
        """Estimates from the particle table; the map of a homogeneous volume, or at the median z."""
        names: tuple[str, ...] = ("z", "z_covariance", "log_likelihood")
        estimates = {name: state.table[name].cpu().numpy() for name in names if name in state.table}
        z = None if "z" not in estimates else state.table["z"].median(0).values[None]
        name = "map" if z is None else "map-at-median-z"
        maps, notes = {name: self.decoder(state, context)(z)[0].cpu()}, []
        if context.consensus is not None:  # what a reader compares with
            try:
                maps["consensus"] = context.consensus().cpu()
            except DataError as error:  # an empty half-set, say: no reason to lose the run
                notes.append(f"no consensus map beside the results: {error}")
        return Results(estimates, maps, notes=tuple(notes))

    def decoder(self, state: State, context: BuildContext) -> Any:
        """z [n, d] → maps [n, D, D, D], in float32 whatever was trained in; None for a homogeneous volume."""
        model = self.model(dataclasses.replace(context, autocast=False))
        install(model, state).eval()
        return model.volume.to(next(iter(state.tensors.values())).device).maps


def _words(spec: Any) -> str:
    """A part in words, for the table of methods."""
    return str(getattr(spec, "words", spec.kind))


@dataclasses.dataclass(frozen=True)
class _Band:
    phase: Training
    largest: int

    def __call__(self, progress: float) -> int:
        return self.phase.band_limit(progress, self.largest)


def model_tensors(state: State) -> dict[str, Tensor]:
    """The model's parameters and buffers, by their names in the module."""
    return {n.removeprefix(PREFIX): t for n, t in state.tensors.items() if n.startswith(PREFIX)}


def _reader(model: Model, moving_rows: tuple[str, ...]) -> Any:
    """Contributes what the model infers: posterior mean and covariance of z, and the likelihood there."""

    def contribute(state: State, batch: Any, draws: Draws) -> Contribution:
        model.train(False)
        rows = {name: state.table[name][batch.particle.to(state.table[name].device)] for name in moving_rows}
        with torch.no_grad():
            outcome = torch.func.functional_call(model, model_tensors(state), (batch, draws, rows))
        return Contribution(rows={k: v for k, v in outcome.rows.items() if k not in moving_rows}, info=outcome.info)

    return contribute
