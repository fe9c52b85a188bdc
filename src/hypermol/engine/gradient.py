"""Gradient steps: a loss of a module, its gradients as totals, Adam as the update.

The module is only the recipe. Its parameters live in ``State.tensors`` under ``model.<name>`` and enter by
``functional_call``, so that the state is the whole checkpoint. Parameters kept per particle (a latent table,
a pose table) live in ``State.table`` and have an Adam of their own, row by row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam as adam_

from hypermol.engine.contracts import Contribution, Step, Totals
from hypermol.engine.draws import Draws
from hypermol.engine.state import State
from hypermol.errors import ConfigError
from hypermol.specs import Decay, NonNegative, Positive, register

PREFIX = "model."
RUNNING = "running."
RUNNING_MEMORY = 0.95
"""Share of a running mean that is left after a step."""
Known = Callable[[State, Any, Draws], dict[str, Tensor]]


@dataclasses.dataclass
class Outcome:
    """What a model's ``forward(batch, draws, rows)`` returns.

    ``loss``: scalar, summed over the batch's particles. ``rows``: what to keep per particle, each [B, ...].
    ``info``: sums over the batch's particles, for the log (the loss is added under "loss" by itself). ``running``: by
    the name of a buffer of the module, a sum over the particles; the buffer becomes the running mean of their mean.
    """

    loss: Tensor
    rows: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    info: dict[str, Tensor | float] = dataclasses.field(default_factory=dict)
    running: dict[str, Tensor] = dataclasses.field(default_factory=dict)


@register("update", "adam")
@dataclasses.dataclass(frozen=True)
class Adam:
    """Adam on the mean gradient per particle (Kingma & Ba 2015, algorithm 1; weight decay as an L2 penalty)."""

    learning_rate: Annotated[Positive, "length of a step"] = 1e-4
    weight_decay: Annotated[NonNegative, "L2 penalty on the parameters"] = 0.0
    beta1: Annotated[Decay, "memory of the mean gradient"] = 0.9
    beta2: Annotated[Decay, "memory of its square"] = 0.999
    epsilon: Annotated[Positive, "least divisor of a step"] = 1e-8

    words = "Adam"


def _nothing(state: State, batch: Any, draws: Draws) -> dict[str, Tensor]:
    return {}


@dataclasses.dataclass(frozen=True)
class GradientStep:
    """Adam steps on some of a module's parameters and on per-particle tables.

    ``moving``: names of the parameters that move, or of submodules whose parameters all move; None means all.
    ``row_parameters``: columns of ``State.table``, [N, ...], that move too: the batch's rows are handed to the
    model in ``rows``. Their gradient is the particle's own, not a mean; ``row_adams[name]`` (default: ``adam``) moves
    them, with moments in ``<name>.first``, ``<name>.second`` and ``<name>.steps``. ``known(state, batch, draws)``: rows
    that the model is handed besides, found before the gradient is taken (read from the table, or by a pose search),
    and kept in the table. ``rate(progress)``: what the learning rates are multiplied by, progress running from 0 to 1
    over the phase's passes.
    """

    model: nn.Module
    adam: Adam
    moving: tuple[str, ...] | None = None
    row_parameters: tuple[str, ...] = ()
    rate: Callable[[float], float] = lambda progress: 1.0
    row_adams: Mapping[str, Adam] = dataclasses.field(default_factory=dict)
    known: Known = _nothing

    def step(self, times: int = 1) -> Step:
        """The step for a Phase. Raises ConfigError where ``moving`` names nothing in the model."""
        names = moving_parameters(self.model, self.moving)
        carried = tuple(_carried(self.model))

        def contribute(state: State, batch: Any, draws: Draws) -> Contribution:
            return self._contribute(names, carried, state, batch, draws)

        def apply(state: State, totals: Totals) -> State:
            return self._apply(names, state, totals)

        return Step(contribute, apply, times, mean_gradient_norm)

    def _contribute(
        self, names: tuple[str, ...], carried: tuple[str, ...], state: State, batch: Any, draws: Draws
    ) -> Contribution:
        values = {name: state.tensors[PREFIX + name] for name in carried}
        moving = {name: values[name].detach().requires_grad_() for name in names}
        rows = {name: _rows(state.table[name], batch.particle).requires_grad_() for name in self.row_parameters}
        known = self.known(state, batch, draws)
        with torch.enable_grad():
            outcome = torch.func.functional_call(self.model, {**values, **moving}, (batch, draws, {**known, **rows}))
        wanted = [*moving.values(), *rows.values()]
        found = torch.autograd.grad(outcome.loss, wanted, materialize_grads=True) if wanted else ()
        totals: dict[str, Any] = {f"gradient.{name}": gradient for name, gradient in zip(names, found)}
        totals["count"] = torch.full((), len(batch.particle), dtype=torch.float64, device=outcome.loss.device)
        totals |= {f"{RUNNING}{name}": value for name, value in outcome.running.items()}
        new_rows = {**known, **outcome.rows}
        for name, gradient in zip(rows, found[len(names) :]):
            adam = self._cooled(self.row_adams.get(name, self.adam), state)
            new_rows |= _moved_rows(adam, state, batch.particle, name, gradient)
        return Contribution(totals, new_rows, {"loss": outcome.loss.detach(), **outcome.info})

    def _apply(self, names: tuple[str, ...], state: State, totals: Totals) -> State:
        gradients = [totals[f"gradient.{name}"] / totals["count"] for name in names]
        adam_update(self._cooled(self.adam, state), state.tensors, names, gradients)
        for name in (name for name in totals if name.startswith(RUNNING)):
            kept, mean = state.tensors[PREFIX + name.removeprefix(RUNNING)], totals[name] / totals["count"]
            kept.lerp_(mean.to(kept), 1 - RUNNING_MEMORY)
        return state

    def _cooled(self, adam: Adam, state: State) -> Adam:
        return dataclasses.replace(adam, learning_rate=adam.learning_rate * self.rate(state.clock.progress))


def initial_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Copies of the model's parameters and persistent buffers, named as a State keeps them."""
    return {PREFIX + name: value.detach().clone() for name, value in _carried(model).items()}


def install(model: nn.Module, state: State) -> nn.Module:
    """Copy the state's parameters into the model (to evaluate it, say) and return the model.

    Raises ConfigError where the state lacks one, as that of a run of an earlier version may.
    """
    if missing := [name for name in _carried(model) if PREFIX + name not in state.tensors]:
        raise ConfigError(f"this run has no {', '.join(missing)}: it is of another version of hypermol; train it again")
    with torch.no_grad():
        for name, value in _carried(model).items():
            value.copy_(state.tensors[PREFIX + name])
    return model


def moving_parameters(model: nn.Module, moving: tuple[str, ...] | None) -> tuple[str, ...]:
    """Full names of the parameters meant by ``moving``, in the model's order."""
    known = [name for name, _ in model.named_parameters()]
    if moving is None:
        return tuple(known)
    chosen = {entry: [n for n in known if n == entry or n.startswith(f"{entry}.")] for entry in moving}
    if empty := [entry for entry, names in chosen.items() if not names]:
        raise ConfigError(f"no parameter is called {', '.join(empty)}; the model has: {', '.join(known)}")
    wanted = {name for names in chosen.values() for name in names}
    return tuple(name for name in known if name in wanted)


def mean_gradient_norm(totals: Totals) -> Tensor:
    """Euclidean norm of the mean gradient per particle, over all parameters."""
    gradients = [total for name, total in totals.items() if name.startswith("gradient.")]
    return torch.nn.utils.get_total_norm(gradients) / totals["count"]


@torch.no_grad()
def adam_update(adam: Adam, tensors: dict[str, Tensor], names: tuple[str, ...], gradients: list[Tensor]) -> None:
    """Move ``model.<name>`` in place; the moments are kept beside them, zeros at first."""
    if not names:
        return
    parameters = [tensors[PREFIX + name] for name in names]
    for name, parameter in zip(names, parameters):
        if f"adam.steps.{name}" not in tensors:
            tensors[f"adam.first.{name}"] = torch.zeros_like(parameter, memory_format=torch.contiguous_format)
            tensors[f"adam.second.{name}"] = torch.zeros_like(parameter, memory_format=torch.contiguous_format)
            tensors[f"adam.steps.{name}"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
    adam_(
        parameters,
        gradients,
        [tensors[f"adam.first.{name}"] for name in names],
        [tensors[f"adam.second.{name}"] for name in names],
        [],
        [tensors[f"adam.steps.{name}"] for name in names],
        fused=not any(parameter.is_complex() for parameter in parameters),
        has_complex=any(parameter.is_complex() for parameter in parameters),
        amsgrad=False,
        beta1=adam.beta1,
        beta2=adam.beta2,
        lr=adam.learning_rate,
        weight_decay=adam.weight_decay,
        eps=adam.epsilon,
        maximize=False,
    )


@torch.no_grad()
def _moved_rows(adam: Adam, state: State, particle: Tensor, name: str, gradient: Tensor) -> dict[str, Tensor]:
    """New rows of one per-particle table and of its moments: the same formula, each row with its own step count."""
    value = _rows(state.table[name], particle)
    first, second, steps = (_moment(state, name, kind, particle, gradient) for kind in ("first", "second", "steps"))
    gradient = gradient + adam.weight_decay * value
    first = torch.lerp(first, gradient, 1 - adam.beta1)
    second = adam.beta2 * second + (1 - adam.beta2) * gradient.square()
    steps = steps + 1
    shape = (-1, *(1,) * (gradient.dim() - 1))
    size = adam.learning_rate / (1 - adam.beta1**steps).view(shape)
    width = (second / (1 - adam.beta2**steps).view(shape)).sqrt() + adam.epsilon
    return {
        name: value - size * first / width,
        f"{name}.first": first,
        f"{name}.second": second,
        f"{name}.steps": steps,
    }


def table_rows(state: State, particle: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
    """What the table holds of some particles, of the columns that it has."""
    return {name: _rows(state.table[name], particle) for name in names if name in state.table}


def _moment(state: State, name: str, kind: str, particle: Tensor, like: Tensor) -> Tensor:
    table = state.table.get(f"{name}.{kind}")
    if table is not None:
        return _rows(table, particle)
    return torch.zeros(len(like), dtype=like.dtype, device=like.device) if kind == "steps" else torch.zeros_like(like)


def _rows(table: Tensor, particle: Tensor) -> Tensor:
    return table.detach()[particle.to(table.device)]


def _carried(model: nn.Module) -> dict[str, Tensor]:
    """Parameters (each once, where tied) and persistent buffers, by name."""
    parameters = dict(model.named_parameters())
    saved = model.state_dict(keep_vars=True)
    return {**parameters, **{name: value for name, value in model.named_buffers() if name in saved}}
