"""One cell of a benchmark: one program on one problem with one seed. Its row is kept, so that a benchmark goes on where
it was stopped; what failed keeps its row too."""

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypermol.benchmarks.circumstances import circumstances
from hypermol.benchmarks.entrants import Entrant, find_entrant
from hypermol.benchmarks.measure import ProgramFailed
from hypermol.benchmarks.problem import find_problem
from hypermol.benchmarks.suite import Suite
from hypermol.benchmarks.task import Task
from hypermol.errors import HypermolError
from hypermol.runs import write_text

Row = dict[str, Any]
Told = Callable[[Row, int, int], None]
"""Told (row, cells done, all cells) after each cell; a row that was kept from before has "kept": True."""


def run_suite(
    suite: Suite, folder: Path, told: Told | None = None, limit_seconds: float = 0.0, again: bool = False
) -> list[Row]:
    """Run what is missing; all rows. limit_seconds: per program, 0 for none. again: failed cells once more."""
    rows: list[Row] = []
    for seed in suite.seeds:
        for race in suite.races:
            task = find_problem(race.problem).at(suite.tier, seed, folder, suite.given)
            for name in suite.entrants(race, seed):
                rows.append(run_cell(task, find_entrant(name), limit_seconds, again))
                if told is not None:
                    told(rows[-1], len(rows), suite.cells)
    return rows


def run_cell(task: Task, entrant: Entrant, limit_seconds: float = 0.0, again: bool = False) -> Row:
    """The kept row of this cell where its settings and particles are the same, else a new one."""
    head = {
        "problem": task.problem.name,
        "tier": task.tier,
        "seed": task.seed,
        "given": task.given.words,
        "entrant": entrant.name,
        "family": entrant.family,
        "ours": entrant.ours,
        "version": entrant.version(),
    }
    try:
        task.simulate()
        reason = entrant.unfit(task)
    except Exception as error:  # a problem of another package may fail in any way; the race goes on
        return {**head, **_ended("failed", f"the problem could not be made: {_in_words(error)}")}
    place = task.folder / "cells" / task.given.label
    row = _kept(place / f"{entrant.name}.json", task, entrant, again)
    if row is not None:
        return {**row, "kept": True}
    if reason:
        status = "absent" if entrant.version() is None else "unfit"
        return {**head, **_about(task), **_ended(status, reason)}
    mark, kept = _fingerprint(task, entrant), place / f"{entrant.name}.json"
    row = {**head, **_about(task), "fingerprint": mark, **_run(task, entrant, place / entrant.name, limit_seconds)}
    write_text(kept, json.dumps(row, indent=1) + "\n")
    return {**row, "kept": False}


def _kept(path: Path, task: Task, entrant: Entrant, again: bool) -> Row | None:
    """What this cell gave before with the same particles and settings, or by a program that has gone since."""
    if not path.exists():
        return None
    row: Row = json.loads(path.read_text())
    same = entrant.version() is None or row.get("fingerprint") == _fingerprint(task, entrant)
    return row if same and not (again and row["status"] == "failed") else None


def _run(task: Task, entrant: Entrant, folder: Path, limit_seconds: float) -> Row:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    settings = entrant.settings(task)
    known = {"settings": settings, "circumstances": circumstances(), "finished": _now()}
    try:
        outcome = entrant.run(task, folder, limit_seconds)
    except ProgramFailed as error:
        return {**known, **_ended("failed", str(error)), "cost": error.cost.row()}
    except Exception as error:  # whatever a program leaves behind, the race goes on and the row says so
        return {**known, **_ended("failed", _in_words(error))}
    row = {**known, "cost": outcome.cost.row(), "notes": outcome.notes, "finished": _now()}
    try:
        return {**row, **_ended("done", ""), "figures": task.score(outcome.answer)}
    except Exception as error:
        return {**row, **_ended("failed", f"its result could not be scored: {_in_words(error)}")}


def _about(task: Task) -> Row:
    truth = task.truth
    size = {"particles": truth.count, "box": truth.box, "pixel_size": truth.pixel_size}
    return {**size, "words": task.problem.words, "source": task.problem.source, "molecule": task.molecule}


def _ended(status: str, message: str) -> Row:
    return {"status": status, "message": message}


def _in_words(error: Exception) -> str:
    return str(error) if isinstance(error, HypermolError) else f"{type(error).__name__}: {error}"


def _fingerprint(task: Task, entrant: Entrant) -> str:
    content = {
        "simulation": (task.data / "simulation.toml").read_text(),
        "given": task.given.label,
        "settings": entrant.settings(task),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
