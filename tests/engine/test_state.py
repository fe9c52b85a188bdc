"""State and clock: what a checkpoint holds comes back as it was; stop rules; the forecast."""

import dataclasses
import itertools
import os
import signal
from pathlib import Path

import harness
import pytest
import torch

from hypermol.engine import (
    Clock,
    Contribution,
    Loop,
    MemoryStore,
    Phase,
    Program,
    RunStore,
    State,
    Step,
    choose_device,
    stop_on_signals,
)
from hypermol.engine.contracts import all_finite
from hypermol.engine.progress import Forecast
from hypermol.errors import ConfigError, DataError


def test_a_state_comes_back_from_disk(tmp_path: Path) -> None:
    state = State(
        {
            "a/b": torch.randn(3, 2, dtype=torch.complex64),
            "scalar": torch.tensor(2.5, dtype=torch.float64),
            "strided": torch.arange(12.0).view(3, 4).T,
            "none": torch.zeros(0, 4),
            "half": torch.ones(3, dtype=torch.bfloat16),
        },
        {"flag": torch.tensor([True, False]), "place": torch.arange(2, dtype=torch.int32)},
        {"list": [1, 2.5, None, "x"], "nested": {"0": [0.1, 1e-300]}},
        Clock(1, 2, 3, 4, 5, 6, True),
    )
    state.tensors["same memory"] = state.tensors["scalar"]
    store = RunStore(harness.open_run(tmp_path / "run"))
    assert store.latest() is None
    store.save(state)
    found = store.latest()
    assert harness.equal(found.to_checkpoint(), state.to_checkpoint())
    assert found.clock == state.clock
    assert all(tensor.data_ptr() % 64 == 0 for tensor in found.tensors.values())


@pytest.mark.parametrize("data", [{"a": (1, 2)}, {1: 2}, {"a": torch.ones(2)}, {"a": {1, 2}}])
def test_data_that_would_not_come_back_is_refused(data: dict) -> None:
    with pytest.raises(ConfigError, match="must be plain"):
        State(data=data).to_checkpoint()


def test_all_finite() -> None:
    good = [torch.ones(3), torch.arange(3), torch.ones(2, dtype=torch.complex64), torch.zeros(0), torch.tensor(True)]
    good += [torch.ones(2, dtype=torch.float64), torch.full((4,), 6e4, dtype=torch.float16), torch.full((9,), 1e37)]
    assert all_finite([])
    assert all_finite(good)
    for bad in (float("nan"), float("inf"), complex(0, float("nan"))):
        assert not all_finite([*good, torch.tensor([1.0, bad])])
    assert Contribution({"a": torch.ones(2)}, {}, {"b": 1.0, "c": 3}).finite()
    assert not Contribution({}, {}, {"b": float("nan")}).finite()
    assert not Contribution({}, {"z": torch.tensor([float("nan")])}).finite()


@pytest.mark.parametrize(("wanted", "steps"), [(5, [0, 0, 0, 1, 0]), (9, [0, 0, 0, 1, 0, 0, 0, 1, 0])])
def test_a_game_takes_turns(wanted: int, steps: list[int]) -> None:
    phase = Phase("game", tuple(Step(lambda *_: Contribution(), times=times) for times in (3, 1)), 1, 1)
    assert [phase.place_of(updates) for updates in range(wanted)] == steps
    assert phase.step_of(3) is phase.steps[1]


def counting(passes: int = 3, **phase) -> Phase:
    """A phase that counts the particles it sees."""

    def contribute(state: State, batch, draws) -> Contribution:
        return Contribution({"seen": torch.tensor(len(batch.x))}, {"last": draws.normal("last")})

    def apply(state: State, totals) -> State:
        return State({"seen": state.tensors.get("seen", 0) + totals["seen"]})

    return Phase("count", (Step(contribute, apply),), passes, **{"batch_size": 4, **phase})


def job(*phases: Phase, store=None, count: int = 10, **settings) -> Loop:
    program = Program(lambda: State({"seen": torch.tensor(0)}), phases)
    return Loop(program, harness.ArraySource({"x": torch.zeros(count)}), store or MemoryStore(), 0, **settings)


def test_a_phase_ends_after_its_passes_its_images_or_its_convergence() -> None:
    assert job(counting()).run().tensors["seen"] == 30
    assert job(counting(images=15)).run().tensors["seen"] == 18
    assert job(counting(images=20)).run().tensors["seen"] == 20
    assert job(counting(images=20), counting(passes=9, images=22)).run().tensors["seen"] == 24
    converged = counting(passes=9, converged=lambda state: bool(state.tensors["seen"] >= 20))
    assert job(converged).run().tensors["seen"] == 20
    assert job(counting(passes=0), counting(passes=1)).run().clock == Clock(2, images=10, total_passes=1)


def test_each_kill_between_two_saves_leaves_the_same_story(tmp_path: Path) -> None:
    """A job that dies after each of its saves in turn: no phase is entered, run or ended twice."""

    class Dying(RunStore):
        def save(self, state: State) -> None:
            super().save(state)
            raise KeyboardInterrupt

    def enter(state: State) -> State:
        return State({"seen": state.tensors["seen"] + 1000})

    phases = (
        counting(passes=2),
        counting(passes=5, enter=enter, converged=lambda state: True, batch_size=10),
        counting(passes=5, images=33, batch_size=3),
        counting(passes=2, apply_every=None),
    )
    expected = job(*phases).run()
    assert expected.tensors["seen"] == 20 + 1000 + 10 + 3 + 20
    for deaths in itertools.count():
        try:
            store = Dying(harness.open_run(tmp_path / "run"))
            state = job(*phases, store=store, checkpoint_seconds=0.0).run()
            break
        except KeyboardInterrupt:
            assert deaths < 40
    assert deaths > 8
    assert harness.equal(state.to_checkpoint(), expected.to_checkpoint())
    rows = [row for row in harness.Run(tmp_path / "run").log() if row["event"] == "pass"]
    assert [row["updates"] for row in rows] == [3, 6, 1, 1, 1, 2]


def test_info_of_a_pass_survives_a_resume(tmp_path: Path) -> None:
    def contribute(state: State, batch, draws) -> Contribution:
        return Contribution({}, {}, {"place": batch.particle.sum().float()})

    phase = Phase("info", (Step(contribute),), 1, batch_size=1, shuffle=False)
    asked = iter([False, False, False, True])
    with pytest.raises(Exception, match="asked to stop"):
        job(phase, store=RunStore(harness.open_run(tmp_path / "run")), asked_to_stop=lambda: next(asked)).run()
    job(phase, store=RunStore(harness.open_run(tmp_path / "run"))).run()
    (row,) = harness.Run(tmp_path / "run").log()
    assert row["place"] == 4.5


def test_band_limit_progress_runs_from_0_to_1() -> None:
    seen = []
    phase = counting(passes=2, batch_size=5, band_limit=lambda progress: seen.append(progress) or 1)
    lattice = type("Lattice", (), {"limit": lambda self, band: self, "size": 1})()
    source = harness.ArraySource({"x": torch.zeros(10)}, {"lattice": lattice})
    Loop(Program(lambda: State({"seen": torch.tensor(0)}), (phase,)), source, MemoryStore(), 0).run()
    assert {0.0, 0.25, 0.5, 0.75} <= set(seen) <= {0.0, 0.25, 0.5, 0.75, 1.0}


def test_an_empty_source_is_an_error_in_words() -> None:
    with pytest.raises(DataError, match="no particles"):
        job(counting(), count=0).run()


def test_the_forecast_reaches_1_and_falls_to_0() -> None:
    phases = [
        counting(passes=2),
        counting(passes=9, images=35),
        counting(passes=1, band_limit=lambda p: 4 + round(4 * p)),
    ]
    forecast = Forecast(phases, 10)
    assert forecast.fraction == 0
    assert forecast.seconds_left is None
    clock, fractions = Clock(), []
    for phase, passes in enumerate((2, 2, 1)):
        for pass_index, batch in itertools.product(range(passes), range(3)):
            clock = dataclasses.replace(clock, phase=phase, pass_index=pass_index, batch=batch + 1)
            forecast.advance(clock, 4, (pass_index + batch / 3) / phases[phase].passes)
            fractions.append(forecast.fraction)
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1)
    assert forecast.seconds_left == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("fixed", "per_pixel"), [(1.0, 0.0), (0.0, 1.0), (0.3, 1.0)])
def test_the_time_left_where_the_band_grows(fixed: float, per_pixel: float) -> None:
    """Whether time goes into what sees whole images or into the pixels used, a third of the way tells how much."""
    phase = counting(passes=30, band_limit=lambda progress: 4 + round(12 * progress))
    seconds = [fixed + per_pixel * ((4 + round(12 * (index + 0.5) / 30)) / 16) ** 2 for index in range(30)]
    clock_time = [0.0]
    forecast = Forecast([phase], 4, now=lambda: clock_time[0])
    for index in range(10):
        clock_time[0] += seconds[index]
        forecast.advance(Clock(pass_index=index, batch=1), 4, (index + 0.5) / 30)
    assert forecast.seconds_left == pytest.approx(sum(seconds[10:]), rel=0.15)
    assert forecast.fraction == pytest.approx(1 / 3)


def test_the_time_left_of_a_phase_that_costs_less_than_the_one_before() -> None:
    """A search of ten passes at 8 s, then a training of thirty at 1 s, each pass of ten batches."""
    phases = [counting(passes=10, batch_size=4), counting(passes=30, batch_size=4)]
    seconds, clock_time = [0.8, 0.1], [0.0]
    forecast = Forecast(phases, 40, now=lambda: clock_time[0])
    at: dict[tuple[int, int], float] = {}
    for phase, pass_index, batch in itertools.product(range(2), range(30), range(10)):
        if pass_index < phases[phase].passes:
            clock_time[0] += seconds[phase]
            forecast.advance(Clock(phase, pass_index, batch + 1), 4, 0.0)
            if batch == 9:
                at[phase, pass_index + 1] = forecast.seconds_left
    assert at[0, 5] == pytest.approx(5 * 8 + 30 * 8)  # nothing is known of the training
    assert at[1, 10] == pytest.approx(20, rel=0.1)
    assert at[1, 20] == pytest.approx(10, rel=0.05)
    assert at[1, 30] == pytest.approx(0, abs=1e-9)


def test_the_time_left_is_that_of_the_usual_passes_and_of_as_many_again_where_these_are_over() -> None:
    clock_time = [0.0]
    forecast = Forecast([counting(passes=7, usual_passes=3)], 4, now=lambda: clock_time[0])
    left = []
    for index in range(7):
        clock_time[0] += 2.0
        forecast.advance(Clock(pass_index=index), 4, index / 7)
        left.append(round(forecast.seconds_left, 3))
    assert left == [6.0, 4.0, 2.0, 6.0, 4.0, 2.0, 2.0]


def test_progress_events_tell_the_time_left() -> None:
    events: list[dict] = []
    job(counting(), report=events.append).run()
    kinds = {event["event"] for event in events}
    assert kinds == {"progress", "pass"}
    assert events[-1]["fraction"] == 1
    assert events[0]["seconds_left"] > 0


def test_signals_ask_once_and_then_act() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    with stop_on_signals(signal.SIGUSR1) as asked:
        assert not asked()
        os.kill(os.getpid(), signal.SIGUSR1)
        assert asked()
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
    signal.signal(signal.SIGUSR1, before)


def test_devices() -> None:
    device, why = choose_device("cpu")
    assert device == torch.device("cpu")
    assert "as asked" in why
    assert choose_device()[1].startswith(("CPU with", "GPU "))
    with pytest.raises(ConfigError, match="unknown device"):
        choose_device("quantum")
    with pytest.raises(ConfigError, match="not supported"):
        choose_device("meta")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="no usable CUDA GPU"):
            choose_device("cuda")
