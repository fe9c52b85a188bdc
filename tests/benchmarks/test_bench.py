"""A benchmark as a user runs it: cells are kept, failures stay visible, the table and the page hold every entrant."""

import dataclasses
import json
import sys
import time
from pathlib import Path

import pytest

from hypermol.benchmarks.cells import run_cell, run_suite
from hypermol.benchmarks.entrants import ENTRANTS, find_entrant
from hypermol.benchmarks.given import Given
from hypermol.benchmarks.measure import ProgramFailed, measured
from hypermol.benchmarks.problem import find_problem
from hypermol.benchmarks.suite import NAMED, Race, Suite, find_suite
from hypermol.benchmarks.summary import contests
from hypermol.benchmarks.tables import markdown, number, row_in_words
from hypermol.cli import main
from hypermol.errors import ConfigError
from hypermol.report.bench import render_benchmark
from hypermol.simulation import GAIN

SIZE = {"n": 60, "box": 16, "snr": 2.0, "shift_px": 1.0}


@pytest.fixture(scope="module")
def small_problem():
    return dataclasses.replace(find_problem("hinge"), tiers={"tiny": SIZE})


@dataclasses.dataclass(frozen=True)
class Stub:
    """A program that fails, or is absent."""

    name: str
    present: bool = True
    family: str = "elsewhere"
    ours: bool = False
    option: int = 0

    def version(self):
        return "1.0" if self.present else None

    def unfit(self, task):
        return None if self.present else "is not installed"

    def settings(self, task):
        return {"option": self.option}

    def run(self, task, folder, limit_seconds):
        measured([sys.executable, "-c", "print('|Spearman| of <b>'); raise SystemExit(3)"], folder / "log.txt")


@pytest.fixture(scope="module")
def rows(small_problem, tmp_path_factory):
    """Back projection, a program that fails and one that is absent, two seeds, one row twice."""
    folder = tmp_path_factory.mktemp("bench") / "tiny"
    entrants = (find_entrant("backprojection"), Stub("fails"), Stub("is-absent", present=False))
    return [run_cell(small_problem.at("tiny", 0, folder), entrant) for entrant in entrants], folder


def test_a_cell_says_what_it_cost_and_where(rows):
    done = rows[0][0]
    assert done["status"] == "done", done["message"]
    assert 0.5 < done["cost"]["cpu_seconds"] < 60
    assert 100 < done["cost"]["peak_memory_mib"] < 4000
    assert len(done["circumstances"]["commit"]) == 40
    assert {"torch", "numpy"} <= set(done["circumstances"]["versions"])
    assert done["figures"]["FSC of the consensus"]["value"] > 0.8
    assert done["figures"][GAIN]["bound"] > 0.5


def test_failed_and_absent_programs_keep_their_rows(rows):
    _, failed, absent = rows[0]
    assert failed["status"] == "failed"
    assert "|Spearman| of <b>" in failed["message"]
    assert failed["cost"]["wall_seconds"] >= 0
    assert (absent["status"], absent["message"]) == ("absent", "is not installed")
    text = markdown(rows[0], "a benchmark")
    for name in ("backprojection", "fails", "is-absent", "the images' own limit"):
        assert name in text
    assert "0 of 1" in text
    page = render_benchmark(rows[0], "a <benchmark>")
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "a &lt;benchmark&gt;" in page
    assert "<script" not in page
    assert 'href="http' not in page
    assert "failed" in row_in_words(failed)


def test_what_is_done_is_kept_until_its_settings_change(rows, small_problem):
    _, folder = rows
    task = small_problem.at("tiny", 0, folder)
    assert run_cell(task, find_entrant("backprojection"))["kept"]
    assert run_cell(task, Stub("fails"))["kept"]
    assert not run_cell(task, Stub("fails"), again=True)["kept"]
    assert not run_cell(task, Stub("fails", option=1))["kept"]
    assert run_cell(task, Stub("fails", present=False))["kept"]  # measured before it went


def test_memory_is_that_of_the_program_and_not_of_who_starts_it(tmp_path):
    held = bytearray(400 * 2**20)
    held[::4096] = b"x" * len(held[::4096])
    cost = measured([sys.executable, "-S", "-c", "sum(range(10**6))"], tmp_path / "log")
    assert cost.peak_mib < 100
    assert 0 < cost.cpu < 5


def _running(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_program_can_take_too_long_or_be_missing(tmp_path):
    child = "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    with pytest.raises(ProgramFailed, match=r"stopped after its 1 s") as stopped:
        measured([sys.executable, "-S", "-c", child], tmp_path / "grandchild", limit_seconds=1)
    child, deadline = int((tmp_path / "grandchild").read_text()), time.monotonic() + 10
    while _running(child) and time.monotonic() < deadline:  # a busy machine takes its time to end it
        time.sleep(0.05)
    assert not _running(child)  # nothing that it started outlives it
    assert stopped.value.cost.wall < 20
    with pytest.raises(ConfigError, match="cannot be run"):
        measured([tmp_path / "nosuch"], tmp_path / "log")


def test_a_problem_that_cannot_be_made_is_a_row(tmp_path):
    impossible = dataclasses.replace(find_problem("hinge"), tiers={"tiny": {"n": 60, "box": 16, "pixel_size": 0.5}})
    row = run_cell(impossible.at("tiny", 0, tmp_path), find_entrant("backprojection"))
    assert row["status"] == "failed"
    assert "does not fit" in row["message"]
    assert "does not fit" in render_benchmark([row], "t")
    assert "hinge" in markdown([row], "t")


def test_methods_without_poses_say_what_they_need(small_problem, tmp_path):
    task = small_problem.at("tiny", 0, tmp_path, Given.hiding(("pose",)))
    row = run_cell(task, find_entrant("cryodrgn"))
    assert (row["status"], row["message"]) == ("unfit", "needs poses, which are hidden")
    assert row["given"] == "given: CTF; hidden: poses, shifts, z"


def _with_peer(suite, race, seed):
    return "cryodrgn-train_vae" in suite.entrants(race, seed)


def test_suites_name_only_what_exists():
    for name in NAMED:
        assert find_suite(name).cells > 0
    small = find_suite("small")
    assert small.seeds == (0, 1, 2)
    peers = {seed: [race.problem for race in small.races if _with_peer(small, race, seed)] for seed in small.seeds}
    assert [len(races) for races in peers.values()] == [5, 0, 0]
    chosen = find_suite("hinge, linear1d", "tiny", ("cryodrgn",), (4,))
    assert (chosen.cells, chosen.seeds, chosen.tier) == (2, (4,), "tiny")
    for bad in (
        {"text": "nosuch"},
        {"text": ","},
        {"text": "hinge", "tier": "huge"},
        {"text": "hinge", "seeds": (-1,)},
    ):
        with pytest.raises(ConfigError):
            find_suite(**bad)
    with pytest.raises(ConfigError, match="unknown entrant"):
        find_suite("hinge", entrants=("nosuch",))
    assert {"relion-class3d", "relion-refine", "recovar", "cryodrgn-abinit"} <= set(ENTRANTS)


def test_rows_over_seeds_become_one_line(rows):
    first = rows[0][0]
    figures = json.loads(json.dumps(first["figures"]))
    figures[GAIN]["value"] = 0.5
    second = {**first, "seed": 1, "figures": figures}
    (contest,) = contests([first, second])
    values = contest.lines[0].figures[GAIN]
    assert values.mean == pytest.approx((first["figures"][GAIN]["value"] + 0.5) / 2)
    assert values.share == pytest.approx(values.mean / values.limit)
    assert contest.principal == GAIN
    assert [number(v) for v in (0, 0.12345, 5.678, 12.34, 1234.5)] == ["0", "0.123", "5.68", "12.3", "1234"]


def test_the_command_writes_table_json_and_page(rows, monkeypatch, small_problem):
    out = rows[1].parent
    suite = Suite("few", "tiny", (Race("hinge", ("backprojection",)),), (0,))
    monkeypatch.setattr("hypermol.benchmarks.suite.find_suite", lambda *arguments: suite)
    monkeypatch.setattr("hypermol.benchmarks.cells.find_problem", lambda name: small_problem)
    assert main(["bench", "few", "-o", str(out)]) == 0
    found = json.loads((out / "few.json").read_text())
    assert [row["status"] for row in found["rows"]] == ["done"]
    assert "backprojection" in (out / "few.md").read_text()
    assert "hinge" in (out / "few.html").read_text()
    assert run_suite(suite, out / "tiny")[0]["kept"]


def test_the_command_refuses_what_it_does_not_know(capsys):
    assert main(["bench", "nosuch"]) == 2
    assert main(["bench", "hinge", "--hide", "colour"]) == 2
    assert main(["bench", "hinge", "--seeds", "a"]) == 2
    assert "seed numbers from 0" in capsys.readouterr().err
