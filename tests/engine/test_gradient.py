"""GradientStep against torch.optim, row parameters against an Adam of their own."""

import copy
import dataclasses

import harness
import pytest
import torch
from torch import nn

from hypermol.engine import (
    Adam,
    GradientStep,
    Loop,
    MemoryStore,
    Outcome,
    Phase,
    Program,
    State,
    initial_tensors,
    install,
)
from hypermol.errors import ConfigError
from hypermol.specs import from_dict, lookup, to_dict

N = 24


class Model(nn.Module):
    """y ≈ scale · network(x) + z, one z per particle."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.network = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double()
            self.unused = nn.Linear(2, 2).double()
        self.register_buffer("scale", torch.full((2,), 1.5, dtype=torch.float64))
        self.register_buffer("ones", torch.ones(2, dtype=torch.float64), persistent=False)

    def forward(self, batch, draws, rows) -> Outcome:
        made = self.network(batch.x) * self.scale * self.ones + rows.get("z", 0.0)
        loss = (made - batch.y).square().sum()
        return Outcome(loss, {"made": made}, {"twice": 2 * loss})


def source() -> harness.ArraySource:
    draw = torch.Generator().manual_seed(2)
    x, y = (torch.randn(N, d, generator=draw, dtype=torch.float64) for d in (3, 2))
    return harness.ArraySource({"x": x, "y": y})


def run(step: GradientStep, passes: int = 10, batch_size: int = 10, table=None, **settings) -> State:
    start = State(initial_tensors(step.model), dict(table or {}))
    phase = Phase("fit", (step.step(),), passes, batch_size, shuffle=False)
    return Loop(Program(lambda: start, (phase,)), source(), MemoryStore(), 0, **settings).run()


def by_torch(model: nn.Module, moving, adam: Adam, passes: int = 10, batch_size: int = 10) -> None:
    """The same training, written with torch.optim."""
    rows = source().rows
    options = {"lr": adam.learning_rate, "betas": (adam.beta1, adam.beta2), "eps": adam.epsilon}
    optimiser = torch.optim.Adam(moving, weight_decay=adam.weight_decay, **options)
    for _ in range(passes):
        for index in torch.arange(N).split(batch_size):
            batch = harness.Batch(index, {n: v[index] for n, v in rows.items()}, {})
            optimiser.zero_grad()
            model(batch, None, {}).loss.backward()
            for parameter in moving:
                parameter.grad /= len(index)
            optimiser.step()


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("microbatch", [3, 1 << 30])
def test_equals_torch_optim(weight_decay: float, microbatch: int) -> None:
    adam = Adam(0.03, weight_decay)
    model = Model()
    state = run(GradientStep(Model(), adam), microbatch=microbatch)
    by_torch(model, list(model.network.parameters()), adam)
    for name, parameter in model.network.named_parameters():
        torch.testing.assert_close(state.tensors[f"model.network.{name}"], parameter.detach(), rtol=1e-9, atol=1e-12)


def test_the_rate_multiplies_the_learning_rate_by_the_progress_of_the_phase() -> None:
    model, passes, batches = Model(), 4, 3
    halves = run(GradientStep(Model(), Adam(0.03), rate=lambda progress: 0.5), passes)
    by_torch(model, list(model.network.parameters()), Adam(0.015), passes)
    torch.testing.assert_close(
        halves.tensors["model.network.0.weight"], model.network[0].weight.detach(), rtol=1e-9, atol=1e-12
    )
    seen: list[float] = []

    def rate(progress: float) -> float:
        seen.append(progress)
        return 1 - progress

    state = run(GradientStep(Model(), Adam(0.03), rate=rate), passes)
    assert seen == pytest.approx([i / (passes * batches) for i in range(passes * batches)])
    assert state.clock.progress == 0.0


def test_only_the_moving_parameters_move() -> None:
    before = initial_tensors(Model())
    state = run(GradientStep(Model(), Adam(0.1), moving=("network.2", "unused.bias")))
    moved = {name for name in before if not torch.equal(before[name], state.tensors[name])}
    assert moved == {"model.network.2.weight", "model.network.2.bias"}
    assert sorted(n for n in state.tensors if n.startswith("adam.first")) == [
        "adam.first.network.2.bias",
        "adam.first.network.2.weight",
        "adam.first.unused.bias",
    ]
    with pytest.raises(ConfigError, match="no parameter is called networks"):
        GradientStep(Model(), Adam(), moving=("networks",)).step()


def test_row_parameters_have_an_adam_of_their_own() -> None:
    z = torch.zeros(N, 2, dtype=torch.float64)
    state = run(GradientStep(Model(), Adam(0.1), moving=(), row_parameters=("z",)), batch_size=N, table={"z": z})
    alone = torch.zeros(N, 2, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([alone], lr=0.1)
    model, rows = Model(), source().rows
    for _ in range(10):
        optimiser.zero_grad()
        model(harness.Batch(torch.arange(N), rows, {}), None, {"z": alone}).loss.backward()
        optimiser.step()
    torch.testing.assert_close(state.table["z"], alone.detach(), rtol=1e-9, atol=1e-12)
    assert state.table["z.steps"].tolist() == [10.0] * N
    in_batches = run(
        GradientStep(Model(), Adam(0.1), moving=(), row_parameters=("z",)),
        batch_size=7,
        table={"z": torch.zeros(N, 2, dtype=torch.float64)},
    )
    torch.testing.assert_close(in_batches.table["z"], state.table["z"], rtol=1e-9, atol=1e-12)


def test_a_row_adam_may_differ() -> None:
    table = {"z": torch.zeros(N, 2, dtype=torch.float64)}
    step = GradientStep(Model(), Adam(0.01), row_parameters=("z",), row_adams={"z": Adam(0.5)})
    state = run(step, passes=1, batch_size=N, table=table)
    torch.testing.assert_close(state.table["z"].abs(), torch.full((N, 2), 0.5, dtype=torch.float64), rtol=1e-3, atol=0)


def test_known_rows_reach_the_model_and_are_kept() -> None:
    def known(state: State, batch: harness.Batch, draws: object) -> dict:
        return {"z": batch.particle[:, None].double() * torch.ones(2)}

    state = run(GradientStep(Model(), Adam(0.1), moving=(), known=known), passes=1, batch_size=7)
    assert state.table["z"].tolist() == [[float(i), float(i)] for i in range(N)]


def test_the_state_shares_nothing_with_the_model() -> None:
    model = Model()
    before = copy.deepcopy(model.state_dict())
    state = run(GradientStep(model, Adam(0.1)))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    installed = install(Model(), state)
    assert torch.equal(installed.network[0].weight, state.tensors["model.network.0.weight"])
    assert not torch.equal(installed.network[0].weight, model.network[0].weight)
    assert "model.scale" in state.tensors
    assert "model.ones" not in state.tensors


def test_a_state_without_a_parameter_of_the_model_is_refused() -> None:
    """Such as that of a run of an earlier version, which had fewer."""
    with pytest.raises(ConfigError, match=r"has no .*weight.* another version"):
        install(torch.nn.Linear(2, 1, bias=False), State({}))


def test_info_is_the_mean_per_particle_and_rows_are_kept() -> None:
    rows: list[dict] = []
    start = State(initial_tensors(Model()))
    phase = Phase("fit", (GradientStep(Model(), Adam(0.0)).step(),), 1, 10)
    state = Loop(Program(lambda: start, (phase,)), source(), MemoryStore(), 0, report=rows.append).run()
    data = source().rows
    whole = Model()(harness.Batch(torch.arange(N), data, {}), None, {})
    assert rows[-1]["loss"] == pytest.approx(float(whole.loss.detach()) / N)
    assert rows[-1]["twice"] == pytest.approx(2 * float(whole.loss.detach()) / N)
    torch.testing.assert_close(state.table["made"], whole.rows["made"].detach())


def test_complex_parameters_move_too() -> None:
    class Wave(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.grid = nn.Parameter(torch.zeros(2, dtype=torch.complex128))

        def forward(self, batch, draws, rows) -> Outcome:
            return Outcome((self.grid - (1 - 2j)).abs().square().sum() * len(batch.x))

    state = run(GradientStep(Wave(), Adam(0.1)), passes=100)
    torch.testing.assert_close(
        state.tensors["model.grid"], torch.full((2,), 1 - 2j, dtype=torch.complex128), atol=0.02, rtol=0
    )


def test_adam_is_a_spec() -> None:
    adam = Adam(3e-4, weight_decay=0.01)
    assert lookup("update", "adam") is Adam
    assert from_dict("update", to_dict(adam)) == adam
    assert dataclasses.is_dataclass(adam)
    with pytest.raises(ConfigError, match="did you mean 'learning_rate'"):
        from_dict("update", {"kind": "adam", "learning_rat": 1.0})
