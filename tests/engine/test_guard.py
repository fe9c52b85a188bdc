"""Bad batches are reported, skipped and counted; a run that cannot go on stops at its last good state."""

import dataclasses
from pathlib import Path

import harness
import pytest
import torch
from torch import nn

from hypermol.engine import (
    Adam,
    Contribution,
    GradientStep,
    InterruptedRun,
    Loop,
    MemoryStore,
    Outcome,
    Phase,
    Program,
    RunStore,
    State,
    Step,
    initial_tensors,
)
from hypermol.errors import ConvergenceError

N = 80


class Line(nn.Module):
    """y = a x: the optimum is the slope."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, batch, draws, rows) -> Outcome:
        residual = self.slope * batch.x - batch.y
        return Outcome(residual.square().sum(), {"residual": residual.detach()})


def source(bad: dict[int, float] | None = None, count: int = N) -> harness.ArraySource:
    """y = 3 x, with some y spoiled."""
    x = torch.linspace(0.5, 1.5, count, dtype=torch.float64)
    y = 3 * x
    for index, value in (bad or {}).items():
        y[index] = value
    return harness.ArraySource({"x": x, "y": y})


def gradient_program(passes: int = 3, **phase) -> Program:
    step = GradientStep(Line(), Adam(0.05)).step()
    phase = {"batch_size": 4, "shuffle": False, **phase}
    return Program(lambda: State(initial_tensors(Line())), (Phase("fit", (step,), passes, **phase),))


def mean_program(batches_per_update: int | None = None, passes: int = 1) -> Program:
    """The mean of y by whole-pass sums."""

    def contribute(state, batch, draws):
        count = torch.tensor(len(batch.y), dtype=torch.float64)
        return Contribution({"sum": batch.y.sum(), "count": count}, {"seen": torch.ones_like(batch.y)})

    step = Step(contribute, lambda state, totals: State({"mean": totals["sum"] / totals["count"]}))
    phase = Phase("mean", (step,), passes, batch_size=4, apply_every=batches_per_update, shuffle=False)
    return Program(lambda: State({"mean": torch.zeros((), dtype=torch.float64)}), (phase,))


def run(program: Program, source: harness.ArraySource, store=None, **settings) -> tuple[State, list[dict]]:
    events: list[dict] = []
    settings = {"checkpoint_seconds": 0.0, **settings}
    return Loop(program, source, store or MemoryStore(), 1, report=events.append, **settings).run(), events


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_batch_that_is_not_finite_is_reported_skipped_and_counted(value: float) -> None:
    state, events = run(gradient_program(), source({5: value}))
    skipped = [event for event in events if event["event"] == "skipped"]
    assert [(event["pass"], event["batch"]) for event in skipped] == [(0, 1), (1, 1), (2, 1)]
    assert all("NaN or infinite" in event["reason"] for event in skipped)
    assert state.data["skipped"] == 3
    assert state.table["residual"][4:8].tolist() == [0.0] * 4  # a bad batch leaves no rows either
    assert bool((state.table["residual"][8:] != 0).all())
    passes = [event for event in events if event["event"] == "pass"]
    assert passes[-1]["skipped"] == 3
    assert passes[-1]["updates"] == 3 * (N // 4 - 1)


def test_the_rest_goes_on_as_if_the_bad_batch_were_not_there() -> None:
    bad, _ = run(gradient_program(), source({5: float("nan")}))
    whole = source()
    keep = torch.cat([torch.arange(4), torch.arange(8, N)])
    without, _ = run(gradient_program(), harness.ArraySource({n: v[keep] for n, v in whole.rows.items()}))
    assert torch.equal(bad.tensors["model.slope"], without.tensors["model.slope"])


def test_whole_pass_totals_leave_the_bad_batch_out() -> None:
    state, _ = run(mean_program(), source({5: float("nan")}))
    y = 3 * torch.linspace(0.5, 1.5, N, dtype=torch.float64)
    expected = torch.cat([y[:4], y[8:]]).mean()
    torch.testing.assert_close(state.tensors["mean"], expected, rtol=1e-12, atol=0)
    assert state.table["seen"].sum() == N - 4


def test_an_update_far_beyond_the_running_median_is_skipped() -> None:
    state, events = run(gradient_program(), source({61: 1e6}))
    skipped = [event for event in events if event["event"] == "skipped"]
    assert [(event["pass"], event["batch"]) for event in skipped] == [(0, 16), (1, 16), (2, 16)]
    assert all("100 × the running median" in event["reason"] for event in skipped)
    assert state.data["skipped"] == 3
    calm, _ = run(gradient_program(), source())
    assert (state.tensors["model.slope"] - calm.tensors["model.slope"]).abs() < 0.1


def test_each_step_of_a_game_has_its_own_median() -> None:
    """Two steps whose norms differ a thousandfold are both normal."""

    def step(size: float) -> Step:
        def contribute(state, batch, draws):
            return Contribution({"total": torch.tensor(size)})

        return Step(contribute, times=3, norm=lambda totals: float(totals["total"]))

    phase = Phase("game", (step(1.0), step(1000.0)), passes=5, batch_size=4)
    state, events = run(Program(State, (phase,)), source())
    assert "skipped" not in state.data
    assert [event["updates"] for event in events if event["event"] == "pass"] == [20, 40, 60, 80, 100]


@dataclasses.dataclass
class Healing:
    """A source whose batches are NaN after the first ``good``, until it is healed."""

    inner: harness.ArraySource
    good: int

    @property
    def count(self) -> int:
        return self.inner.count

    def image_count(self, particles):
        return self.inner.image_count(particles)

    def pass_order(self, seed, pass_index, shuffle):
        return self.inner.pass_order(seed, pass_index, shuffle)

    def stream(self, groups):
        for batch in self.inner.stream(groups):
            self.good -= 1
            if self.good < 0:
                batch.rows["y"] = batch.rows["y"] * float("nan")
            yield batch


@pytest.mark.parametrize(("every", "updates"), [(1, 43), (5, 9), (None, 0)])
def test_a_run_that_cannot_go_on_stops_at_its_last_good_state_and_can_be_resumed(
    every, updates, tmp_path: Path
) -> None:
    program = gradient_program(passes=2, apply_every=every)
    whole = source(count=400)
    with pytest.raises(ConvergenceError, match="last good state"):
        run(program, Healing(whole, good=43), RunStore(harness.open_run(tmp_path / "run")), checkpoint_seconds=1e9)
    latest = RunStore(harness.open_run(tmp_path / "run")).latest()
    assert (latest.clock.updates if latest else 0) == updates
    assert latest is None or torch.isfinite(latest.tensors["model.slope"])
    again, _ = run(program, whole, RunStore(harness.open_run(tmp_path / "run")), checkpoint_seconds=1e9)
    assert again.clock == run(program, whole)[0].clock
    assert again.data.get("skipped", 0) == {1: 50, 5: 52, None: 0}[every]


def test_a_pass_without_one_usable_batch_ends_the_run(tmp_path: Path) -> None:
    store = RunStore(harness.open_run(tmp_path / "run"))
    with pytest.raises(ConvergenceError, match="not one batch"):
        run(mean_program(passes=2), Healing(source(), good=20), store)
    assert harness.final(tmp_path / "run")[1]["clock"]["total_passes"] == 1
    state, _ = run(mean_program(passes=2), source(), store)
    assert state.clock == run(mean_program(passes=2), source())[0].clock


def test_parameters_that_are_no_longer_finite_are_never_saved(tmp_path: Path) -> None:
    def explode(state: State, totals) -> State:
        return State({"x": state.tensors["x"] * 1e200})

    step = Step(lambda state, batch, draws: Contribution({"one": torch.ones(())}), explode)
    start = Program(lambda: State({"x": torch.ones((), dtype=torch.float64)}), (Phase("bad", (step,), 1, 4),))
    with pytest.raises(ConvergenceError, match="x is no longer finite"):
        run(start, source(), RunStore(harness.open_run(tmp_path / "run")))
    tensors, data = harness.final(tmp_path / "run")
    assert tensors["tensors/x"] == 1e200
    assert data["clock"]["updates"] == 1


@pytest.mark.parametrize(
    ("program", "seconds", "images"), [(gradient_program(passes=4), 0.05, 4 * 31), (mean_program(passes=4), 0.0, N)]
)
def test_asked_to_stop_saves_and_resumes(program: Program, seconds: float, images: int, tmp_path: Path) -> None:
    expected, _ = run(program, source())
    asked = iter([False] * 30 + [True] * 1000)
    settings = {"checkpoint_seconds": seconds}
    store = RunStore(harness.open_run(tmp_path / "run"))
    with pytest.raises(InterruptedRun):
        run(program, source(), store, asked_to_stop=lambda: next(asked), **settings)
    assert harness.final(tmp_path / "run")[1]["clock"]["images"] == images
    again, _ = run(program, source(), RunStore(harness.open_run(tmp_path / "run")), **settings)
    assert harness.equal(again.to_checkpoint(), expected.to_checkpoint())


@dataclasses.dataclass
class Series(harness.ArraySource):
    """Particle i has i % 3 + 1 images."""

    def image_count(self, particles: torch.Tensor) -> int:
        return int((particles % 3 + 1).sum())


def test_the_speed_counts_images_and_a_stop_inside_a_pass_loses_none(tmp_path: Path) -> None:
    whole = Series(source(count=60).rows)
    asked = iter([False] * 20 + [True] * 1000)  # the second of three passes of 15 batches
    store = RunStore(harness.open_run(tmp_path / "run"))
    with pytest.raises(InterruptedRun):
        run(gradient_program(), whole, store, asked_to_stop=lambda: next(asked))
    run(gradient_program(), whole, RunStore(harness.open_run(tmp_path / "run")))
    rows = [row for row in harness.open_run(tmp_path / "run").log() if row["event"] == "pass"]
    assert [row["particles"] for row in rows] == [60, 120, 180]
    for row in rows:  # 20 particles each of 1, 2 and 3 images; seconds are rounded to a millisecond
        assert 120 / (row["seconds"] + 6e-4) <= row["images_per_second"] + 0.01
        assert row["images_per_second"] - 0.01 <= 120 / (row["seconds"] - 6e-4)
