"""Killed at any moment, also in the middle of a checkpoint, a run goes on to the same bits."""

from pathlib import Path

import harness
import pytest
import torch

from hypermol.engine import generator

PROBE = "two_class_em"
EACH_UPDATE = {"checkpoint_seconds": 0.0}


@pytest.fixture(scope="session")
def whole(server: harness.Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    """A run that was never stopped, and how many moments there are to kill it at."""
    folder = tmp_path_factory.mktemp("whole")
    events = {}
    for kind in ("write", "step"):
        status, said = server.run(PROBE, folder / kind, kind=kind, settings=EACH_UPDATE)
        assert status == 0, said
        events[kind] = int(said)
    return folder / "step", events


def moments(kind: str, group: int, total: int, count: int) -> list[int]:
    """``count`` seeded moments of one kind, 1 … total."""
    return (1 + torch.randint(total, (count,), generator=generator(harness.SEED, kind, group))).tolist()


@pytest.mark.parametrize("group", range(5))
@pytest.mark.parametrize(("kind", "count"), [("write", 3), ("step", 2)])
def test_kill_9_at_25_seeded_moments(
    kind: str, count: int, group: int, whole: tuple[Path, dict[str, int]], server: harness.Server, tmp_path: Path
) -> None:
    folder, events = whole
    for at in moments(kind, group, events[kind], count):
        run = tmp_path / f"killed-{at}"
        assert server.run(PROBE, run, kind=kind, at=at, settings=EACH_UPDATE)[0] == -9
        status, said = server.run(PROBE, run, settings=EACH_UPDATE)
        assert status == 0, f"killed at event {at}: {said}"
        assert harness.equal(harness.final(run), harness.final(folder)), f"killed at event {at}"
        assert _log(run) == _log(folder), f"killed at event {at}"
        assert not list(run.rglob("*.part")), f"killed at event {at}: something half-written was left"


@pytest.mark.parametrize("at", [2, 5, 8, 10])
def test_killed_while_the_folder_is_made(
    at: int, whole: tuple[Path, dict[str, int]], server: harness.Server, tmp_path: Path
) -> None:
    assert server.run(PROBE, tmp_path / "run", kind="write", at=at)[0] == -9
    assert not (tmp_path / "run" / "checkpoints").exists()
    status, said = server.run(PROBE, tmp_path / "run", settings=EACH_UPDATE)
    assert status == 0, said
    assert harness.equal(harness.final(tmp_path / "run"), harness.final(whole[0]))


def test_killed_again_and_again(whole: tuple[Path, dict[str, int]], server: harness.Server, tmp_path: Path) -> None:
    launches, status = 0, -9
    while status == -9:
        status, said = server.run(PROBE, tmp_path / "run", kind="write", at=120, settings=EACH_UPDATE)
        launches += 1
        assert launches < 40, "no progress between two kills"
    assert status == 0, said
    assert launches > 5
    assert harness.equal(harness.final(tmp_path / "run"), harness.final(whole[0]))


@pytest.mark.parametrize("after", [0.02, 0.11])
def test_kill_9_by_the_clock(
    after: float, whole: tuple[Path, dict[str, int]], server: harness.Server, tmp_path: Path
) -> None:
    server.run(PROBE, tmp_path / "run", kill_after=after, settings=EACH_UPDATE)
    status, said = server.run(PROBE, tmp_path / "run", settings=EACH_UPDATE)
    assert status == 0, said
    assert harness.equal(harness.final(tmp_path / "run"), harness.final(whole[0]))


@pytest.mark.parametrize(("limit", "at"), [(8_000, 30), (8_000, 31), (100, 90)])
def test_disk_fills_while_a_checkpoint_is_written(
    limit: int, at: int, whole: tuple[Path, dict[str, int]], server: harness.Server, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    settings = {"kind": "step", "at": at, "action": "fill", "limit": limit, "settings": EACH_UPDATE}
    status, said = server.run(PROBE, folder, **settings)
    assert status == 1
    assert "OSError: [Errno 27]" in said
    kept = harness.final(folder)  # the last good state can be read, and nothing half-written lies about
    assert kept[1]["clock"]["total_passes"] > 0
    assert not list(folder.rglob("*.part"))
    status, said = server.run(PROBE, folder, settings=EACH_UPDATE)
    assert status == 0, said
    assert harness.equal(harness.final(folder), harness.final(whole[0]))


@pytest.mark.parametrize(("probe", "at"), [(PROBE, 37), ("metropolis", 200)])
def test_a_terminated_run_saves_and_resumes(probe: str, at: int, server: harness.Server, tmp_path: Path) -> None:
    status, said = server.run(probe, tmp_path / "run", kind="step", at=at, action="terminate")
    assert status == 1
    assert "InterruptedRun" in said
    stopped = harness.final(tmp_path / "run") if probe == "metropolis" else None  # a whole-pass update is replayed
    status, said = server.run(probe, tmp_path / "run")
    assert status == 0, said
    assert server.run(probe, tmp_path / "whole")[0] == 0
    assert harness.equal(harness.final(tmp_path / "run"), harness.final(tmp_path / "whole"))
    assert stopped is None or stopped[1]["clock"]["images"] > 0


def _log(folder: Path) -> list[dict]:
    """The log but for what the clock on the wall says."""
    timed = ("seconds", "images_per_second", "seconds_left")
    return [{k: v for k, v in row.items() if k not in timed} for row in harness.Run(folder).log()]
