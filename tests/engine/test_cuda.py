"""The loop on a GPU: the same answer as on a CPU to a stated tolerance, bad batches seen, resumed runs equal."""

from pathlib import Path

import harness
import pytest
import torch
from torch import nn

from hypermol.engine import (
    Adam,
    GradientStep,
    InterruptedRun,
    Loop,
    MemoryStore,
    Outcome,
    Phase,
    Program,
    RunStore,
    State,
    initial_tensors,
)
from hypermol.engine.contracts import all_finite

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU on this machine")


class Model(nn.Module):
    """A small network with a table of z."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.network = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 4)).double()

    def forward(self, batch, draws, rows) -> Outcome:
        z = rows["z"] + 0.01 * draws.normal("z", 2, dtype=torch.float64)
        made = self.network(torch.cat([batch.x, z], 1))
        return Outcome((made - batch.y).square().sum(), {"made": made})


def job(device: str, store=None, bad: bool = False, **settings) -> Loop:
    draw = torch.Generator().manual_seed(1)
    x, y = (torch.randn(100, 4, generator=draw, dtype=torch.float64) for _ in range(2))
    if bad:
        y[7] = float("nan")
    table = {"z": torch.zeros(100, 2, dtype=torch.float64)}
    phase = Phase("fit", (GradientStep(Model(), Adam(1e-2), row_parameters=("z",)).step(),), 10, 16)
    program = Program(lambda: State(initial_tensors(Model()), table), (phase,))
    source = harness.ArraySource({"x": x.to(device), "y": y.to(device)})
    return Loop(program, source, store or MemoryStore(), 0, device=torch.device(device), **settings)


def compare(a: State, b: State, tolerance: float) -> None:
    mine, theirs = a.to_checkpoint()[0], b.to_checkpoint()[0]
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        torch.testing.assert_close(value.cpu(), theirs[name].cpu(), rtol=tolerance, atol=tolerance, msg=name)


def test_cuda_equals_cpu() -> None:
    state = job("cuda").run()
    assert all(tensor.device.type == "cuda" for tensor in (*state.tensors.values(), *state.table.values()))
    compare(state, job("cpu").run(), 1e-8)


def test_a_bad_batch_is_seen() -> None:
    assert job("cuda", bad=True).run().data["skipped"] == 10
    for bad in (float("nan"), float("inf")):
        for place in (0, 70_000):
            tensor = torch.zeros(70_001, device="cuda")
            tensor[place] = bad
            assert not all_finite([torch.ones(5, device="cuda"), tensor])
            assert not all_finite([tensor, torch.ones(5, device="cuda", dtype=torch.complex128)])


def test_stopped_and_resumed(tmp_path: Path) -> None:
    asked = iter([False] * 30 + [True] * 9)
    with pytest.raises(InterruptedRun):
        job("cuda", RunStore(harness.open_run(tmp_path / "run")), asked_to_stop=lambda: next(asked)).run()
    compare(job("cuda", RunStore(harness.open_run(tmp_path / "run"))).run(), job("cuda").run(), 1e-10)
