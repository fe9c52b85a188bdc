"""Validation end to end on tiny runs: what is written, going on after any stop, and bad input."""

import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from small_runs import QUIET, TINY, molecule, untrained

from hypermol.engine import InterruptedRun
from hypermol.errors import ConfigError, DataError
from hypermol.maps import read_map
from hypermol.methods import Conduct, find_method, relocate
from hypermol.runs import Run
from hypermol.validation import Asked, validate_run
from hypermol.validation.inference import applicable, told, transferable

CHECKS = ("held_out", "calibration", "amortisation")


@pytest.fixture(scope="module")
def star(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 particles of 16 px."""
    return molecule(tmp_path_factory.mktemp("validated") / "data", True, 1, n=80, box=16, snr=2.0)


@pytest.fixture(scope="module")
def whole(star: Path) -> tuple[Path, dict]:
    """A validation never stopped, with two variants. Not to be changed."""
    run = untrained(star, star.parent / "run", TINY)
    return run.path, validate_run(run, Asked(seeds=1, settings={"z_dim": 3}), QUIET)


def test_what_is_written(whole: tuple[Path, dict]):
    path, found = whole
    assert json.loads((path / "validation" / "validation.json").read_text()) == found
    assert found["particles"] == [40, 40]
    assert len(found["axes"]) == 2
    assert found["axes"][0]["significance"] >= found["axes"][1]["significance"]
    assert -1 <= found["axes"][0]["order"]["spearman"] <= 1
    assert all(found[name] for name in CHECKS)
    assert [row["changed"] for row in found["sensitivity"]] == ["seed 1100", "z_dim = 3"]
    assert [state["name"] for state in found["states"]] == ["state-0", "state-1", "state-2", "random-third"]
    assert [sum(s["particles"][half] for s in found["states"][:3]) for half in range(2)] == [40, 40]
    metrics = json.loads((path / "metrics.json").read_text())
    assert metrics["validation: motion along axis 1, above chance"]["unit"] == "σ"
    for name in ("axis-1-half1", "axis-1-half2", "axis-2-change", "state-2", "state-0-half1"):
        assert read_map(path / "validation" / "volumes" / f"{name}.mrc")[0].shape == (16, 16, 16)


def test_the_halves_share_nothing(whole: tuple[Path, dict]):
    """Other seeds, other particles, and each half's consensus from its own images."""
    path, _ = whole
    runs = [json.loads((path / "validation" / "stages" / "still.json").read_text())]
    assert runs[0]["value"]["map"] == "back projection"
    rows = [np.load(path / "validation" / f"half{half}" / "estimates.npz")["particle"] for half in (1, 2)]
    assert sorted(np.concatenate(rows)) == list(range(80))
    maps = [read_map(path / "validation" / f"half{half}" / "volumes" / "consensus.mrc")[0] for half in (1, 2)]
    assert float((maps[0] - maps[1]).abs().max()) > 0
    seeds = [(path / "validation" / f"half{half}" / "config.toml").read_text() for half in (1, 2)]
    assert "seed = 1000" in seeds[0]
    assert "seed = 1001" in seeds[1]


def test_stopped_anywhere_it_goes_on_to_the_same(whole: tuple[Path, dict], star: Path, tmp_path: Path):
    """Asked to stop after 3, then 9, 15, … looks at the clock, and run again each time."""
    run, stops = untrained(star, tmp_path / "run", TINY), 0
    for patience in range(3, 400, 6):
        try:
            asked_to_stop = partial(_no_more, iter(range(patience)))
            conduct = Conduct(device="cpu", checkpoint_seconds=0, asked_to_stop=asked_to_stop)
            found = validate_run(run, None, conduct)
            break
        except InterruptedRun:
            stops += 1
    assert stops >= 3
    _same(found, whole[1])


def test_what_is_finished_is_not_done_again(whole: tuple[Path, dict], star: Path, tmp_path: Path):
    """A copy without its last piece and last stages, its particles moved: only these come back, and nothing else is
    written."""
    path = tmp_path / "run"
    shutil.copytree(whole[0], path)
    shutil.copytree(star.parent, tmp_path / "data")
    relocate(Run.open(path), tmp_path / "data" / star.name)
    for config in (path / "validation").glob("*/config.toml"):  # as if the old place were no more
        config.write_text(config.read_text().replace(str(star.parent), "/nowhere"))
    folder = path / "validation"
    shutil.rmtree(folder / "seed-1100")
    for name in ("changed-seed-1100.json", "held-out.json"):
        (folder / "stages" / name).unlink()
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}
    _same(validate_run(Run.open(path), Asked(seeds=1, settings={"z_dim": 3}), QUIET), whole[1])
    written = {str(f.relative_to(folder)) for f, time in before.items() if f.stat().st_mtime_ns != time}
    assert written == {"validation.json"}


def test_bad_input(whole: tuple[Path, dict], star: Path, tmp_path: Path):
    few = untrained(molecule(tmp_path / "few", True, 2, n=30, box=16), tmp_path / "a", TINY)
    with pytest.raises(DataError, match="halves of 15 and 15"):
        validate_run(few, None, QUIET)
    run = untrained(star, tmp_path / "b", TINY)
    with pytest.raises(ConfigError, match="no setting"):
        validate_run(run, Asked(settings={"zdim": 3}), QUIET)
    with pytest.raises(ConfigError, match="--seeds"):
        validate_run(run, Asked(settings={"seed": 3}), QUIET)
    oracle = untrained(star, tmp_path / "d", {"conformation.file": "z.npy"}, "known-z")
    with pytest.raises(ConfigError, match="known-z is told z and does not infer it"):
        validate_run(oracle, None, QUIET)
    assert not (oracle.path / "validation").exists()
    other = untrained(few.path.parent / "few" / "particles.star", tmp_path / "c", TINY)
    with pytest.raises(ConfigError, match="cannot be compared one to one"):
        validate_run(run, Asked(others=(other,)), QUIET)
    assert not (run.path / "validation").exists()


def test_a_run_made_anew_is_noticed(whole: tuple[Path, dict], star: Path, tmp_path: Path):
    run = untrained(star, tmp_path / "run", {**TINY, "epochs": 3})
    shutil.copytree(whole[0] / "validation", run.path / "validation")
    with pytest.raises(DataError, match="its method differs"):
        validate_run(run, None, QUIET)


@pytest.mark.parametrize("method", ["backprojection", "neural-homogeneous"])
def test_a_method_without_z(star: Path, tmp_path: Path, method: str):
    small = {"volume.hidden": 16, "volume.layers": 1, "epochs": 1} if method != "backprojection" else {}
    found = validate_run(untrained(star, tmp_path / "run", small, method), None, QUIET)
    assert found["motion"] is False
    assert found["verdict"][0].startswith("This method makes one map")
    assert not (tmp_path / "run" / "validation" / "noise1").exists()


def test_a_table_of_z(star: Path, tmp_path: Path):
    """No encoder: other particles get their z by gradient, and there is no posterior to calibrate."""
    table = {k: v for k, v in TINY.items() if not k.startswith("conformation")}
    found = validate_run(untrained(star, tmp_path / "run", table, "autodecoder"), Asked(noise=False), QUIET)
    assert found["calibration"] is None
    assert found["amortisation"] is None
    assert found["axes"][0]["order"] is not None
    assert "noise" not in found


def test_principal_volumes(star: Path, tmp_path: Path):
    """A method in closed form: its last phase reads z of unseen particles off."""
    found = validate_run(untrained(star, tmp_path / "run", {"z_dim": 2}, "ppca"), Asked(noise=False), QUIET)
    assert found["motion"]
    assert found["axes"][0]["order"]["spearman"] > 0.3
    assert found["held_out"] is None


@pytest.mark.parametrize("name", ["cryodrgn", "autodecoder", "known-z", "neural-homogeneous", "ppca", "backprojection"])
def test_what_can_be_asked_of_other_particles(name: str):
    """A part says where its z comes from; nothing is read off the names of its settings."""
    method = find_method(name)
    assert transferable(method) == (name in ("cryodrgn", "autodecoder"))
    assert applicable(method) == (name in ("cryodrgn", "autodecoder", "ppca"))
    assert told(method) == (name == "known-z")


def _no_more(looks: Iterator[int]) -> bool:
    return next(looks, None) is None


def _same(found: dict, other: dict) -> None:
    """Equal to rounding."""
    assert found.keys() == other.keys()
    assert found["verdict"] == other["verdict"]
    for ours, theirs in zip(found["axes"], other["axes"]):
        assert ours["significance"] == pytest.approx(theirs["significance"], rel=1e-4)
        assert ours["order"]["spearman"] == pytest.approx(theirs["order"]["spearman"], rel=1e-4, abs=1e-6)
    for name in CHECKS:
        flat, known = (json.dumps(one[name], sort_keys=True) for one in (found, other))
        assert len(flat) > 2
        assert flat.count(":") == known.count(":")
