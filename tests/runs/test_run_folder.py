"""The run folder: what it refuses, what it keeps, what comes back."""

import json
import stat
from pathlib import Path

import numpy as np
import pytest

from hypermol.errors import ConfigError, DataError
from hypermol.runs import Run, atomic_file, fingerprint, in_words, write_text

CONFIG = {"seed": 3, "method": {"kind": "composition", "learning_rate": 1e-4, "hidden": [3, 4]}, "text": 'a "quoted" é'}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "deep" / "run", CONFIG)


def test_a_new_run_says_what_was_asked(run: Run) -> None:
    assert Run.open(run.path).config == {"format": 1, **CONFIG}
    assert not run.finished
    assert run.log() == []
    assert run.metrics() == {}


def test_create_refuses_what_is_already_there(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="already exists; continue it with `--resume"):
        Run.create(run.path, CONFIG)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "photo.jpg").touch()
    with pytest.raises(ConfigError, match="give another folder"):
        Run.create(tmp_path / "other", CONFIG)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="already exists"):
        Run.create(tmp_path / "file", CONFIG)


def test_create_takes_an_empty_folder_or_what_a_kill_left_of_one(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    Run.create(tmp_path / "empty", CONFIG)
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / ".config.toml-x1y2.part").write_text("half")
    run = Run.create(tmp_path / "killed", CONFIG)
    assert [path.name for path in run.path.iterdir()] == ["config.toml"]


def test_open_refuses_what_is_no_run_or_is_newer(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a run folder"):
        Run.open(tmp_path)
    with pytest.raises(ConfigError, match="is not a run folder"):
        Run.open(tmp_path / "nowhere")
    write_text(run.path / "config.toml", "format = 2\n")
    with pytest.raises(DataError, match="format 2 is newer than this hypermol"):
        Run.open(run.path)


@pytest.mark.parametrize("text", ["", "format = [", "format = 'one'\n", "seed = 3\n"])
def test_open_refuses_a_config_that_is_none(run: Run, text: str) -> None:
    (run.path / "config.toml").write_text(text)
    with pytest.raises(DataError, match=r"config\.toml"):
        Run.open(run.path)


def test_log_rows_come_back_as_plain_values(run: Run) -> None:
    run.append_log({"loss": np.float32(1.5), "count": np.int64(3), "path": Path("a/b"), "list": (1, np.arange(2))})
    run.append_log({"nan": float("nan"), "inf": np.float64("inf"), "nested": {1: [float("nan")]}})
    assert run.log() == [
        {"loss": 1.5, "count": 3, "path": "a/b", "list": [1, [0, 1]]},
        {"nan": None, "inf": None, "nested": {"1": [None]}},
    ]


def test_log_is_rewound_to_a_size(run: Run) -> None:
    for number in range(5):
        run.append_log({"number": number})
        if number == 2:
            size = run.log_size()
    with (run.path / "log.jsonl").open("a") as stream:
        stream.write('{"number": 5, "half')  # a kill in the middle of a line
    assert [row["number"] for row in run.log()] == [0, 1, 2, 3, 4]
    run.truncate_log(size)
    assert [row["number"] for row in run.log()] == [0, 1, 2]
    assert run.log_size() == size
    run.append_log({"number": 3})
    assert [row["number"] for row in run.log()] == [0, 1, 2, 3]
    run.truncate_log(10**6)
    assert len(run.log()) == 4


def test_estimates(run: Run) -> None:
    with pytest.raises(ConfigError, match=r"no estimates.npz: it has not finished.*--resume"):
        run.estimates()
    run.append_log({"event": "finished"})
    with pytest.raises(ConfigError, match=r"no estimates.npz: its method infers nothing.*hypermol methods"):
        run.estimates()
    estimates = {"z": np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32), "particle": np.arange(5)}
    run.save_estimates(estimates)
    found = run.estimates()
    assert found.keys() == estimates.keys()
    assert all(
        np.array_equal(found[name], estimates[name]) and found[name].dtype == a.dtype for name, a in estimates.items()
    )


def test_estimates_that_are_pickles_are_not_loaded(run: Run) -> None:
    np.savez(run.path / "estimates.npz", z=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match=r"estimates.npz cannot be read"):
        run.estimates()
    (run.path / "estimates.npz").write_text("not an archive")
    with pytest.raises(DataError, match=r"estimates.npz cannot be read"):
        run.estimates()


def test_curves(run: Run) -> None:
    assert run.curves() == {}
    run.volumes.mkdir()
    run.save_curves({"fsc": np.linspace(1, 0, 5)})
    assert np.array_equal(run.curves()["fsc"], np.linspace(1, 0, 5))


def test_metrics_are_added_to(run: Run) -> None:
    run.save_metrics({"resolution": {"value": np.float64(8.2), "unit": "Å", "how": "FSC 0.5"}})
    run.save_metrics({"gain": {"value": 1, "unit": "", "how": "x"}})
    assert set(run.metrics()) == {"resolution", "gain"}
    assert json.loads((run.path / "metrics.json").read_text())["resolution"]["value"] == 8.2


@pytest.mark.parametrize(
    ("name", "value", "unit", "words"),
    [
        ("resolution_masked", 8.25, "Å", "8.25 Å"),
        ("resolution_masked", float("inf"), "Å", "not reached"),
        ("validation: still map", None, "Å", "not reached"),
        ("validation: z's uncertainty too small by", None, "×", "no value"),
        ("rank correlation", float("nan"), "", "no value"),
        ("classes", 100_000, "", "100000"),
        ("states told apart", 12.34567, "%", "12.35 %"),
        ("choice", "auto", None, "auto"),
    ],
)
def test_figures_in_words(run: Run, name: str, value: object, unit: str | None, words: str) -> None:
    run.save_metrics({name: {"value": value, "unit": unit, "how": "x"}})
    assert in_words(name, run.metrics()[name]) == words


def test_an_atomic_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    write_text(path, "first")
    with pytest.raises(TypeError), atomic_file(path) as stream:
        stream.write([b"second", stream.write(b"sec")])
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]
    (tmp_path / "plain").write_text("x")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_fingerprint_tells_files_apart(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 10_000_000)
    (tmp_path / "b").write_bytes(b"x" * 10_000_000 + b"y")
    assert fingerprint(tmp_path / "a") == fingerprint(tmp_path / "a") != fingerprint(tmp_path / "b")
