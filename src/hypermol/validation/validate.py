"""Half-set validation of a run, end to end: pieces are trained, compared, and put into words.

Everything lies in RUN/validation; whatever is finished is kept, so that a stopped validation goes on where it was.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from hypermol.atomic import write_text
from hypermol.engine import InterruptedRun
from hypermol.errors import ConfigError
from hypermol.methods import Conduct, finds_poses, run_method
from hypermol.plain import plain
from hypermol.runs import Run
from hypermol.validation.agreement import agreement_of_runs
from hypermol.validation.figures import figures_of
from hypermol.validation.inference import told
from hypermol.validation.model_checks import model_checks
from hypermol.validation.motion import Motion
from hypermol.validation.pieces import Piece, Whole, pieces_of, run_piece
from hypermol.validation.sensitivity import variants
from hypermol.validation.stages import Stages
from hypermol.validation.verdict import axis_is_real, verdict

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Asked:
    """What is done beyond the halves. noise: the same on noise for images; seeds: more runs of half 1 with other seeds;
    settings: more runs of half 1, each with one setting changed; others: runs on the same data to compare with. checks:
    what the models say of unseen images (likelihood, calibration, amortisation), on which the verdict does not rest."""

    noise: bool = True
    checks: bool = True
    seeds: int = 0
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    others: tuple[Run, ...] = ()


def validate_run(run: Run, asked: Asked | None = None, conduct: Conduct | None = None) -> dict[str, Any]:
    """Validate a run and return what RUN/validation/validation.json then holds (plain data; docs/validation.md).

    Raises ConfigError for a run or settings that cannot be validated, DataError where the particles do not allow it,
    InterruptedRun when asked to stop: called again, it goes on.
    """
    asked, conduct = asked or Asked(), conduct or Conduct()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("validate runs as one process; start it without torchrun")
    _require_inferred(run)
    whole = Whole.of(run)
    agreement = agreement_of_runs((run, *asked.others)) if asked.others else []
    more = variants(whole, asked.seeds, asked.settings)
    (run.path / "validation").mkdir(exist_ok=True)
    halves, heterogeneous = pieces_of(whole, noise=False), _has_latent(whole)
    noise = pieces_of(whole, noise=True)[2:] if asked.noise and heterogeneous else []
    jobs = [*halves, *noise, *((piece for _, piece in more) if heterogeneous else ())]
    runs = _run_all(whole, jobs, conduct)
    stages, pair = Stages(whole, conduct), (runs["half1"], runs["half2"])
    found: dict[str, Any] = {"format": FORMAT, "method": whole.method.name, "latent": heterogeneous}
    found["particles"] = [len(whole.rows(half)) for half in range(2)]
    found["still"] = stages.still((halves[0], halves[1]), pair, heterogeneous)
    if heterogeneous:
        found |= _heterogeneous(stages, jobs, runs, [words for words, _ in more])
        found |= model_checks(stages, pair) if asked.checks else {}
    found["agreement"] = agreement
    return _written(run, found)


def _heterogeneous(stages: Stages, jobs: list[Piece], runs: dict[str, Run], changes: list[str]) -> dict[str, Any]:
    """All that is said about z. ``changes``: what the last of ``jobs`` change, in words."""
    pieces, pair = (jobs[0], jobs[1]), (runs["half1"], runs["half2"])
    motion = stages.motion("halves", pieces, pair)
    found: dict[str, Any] = {"axes": _axes(motion), "any_change": _strongest(motion)}
    if "noise1" in runs:
        blank = stages.motion("noise", (jobs[2], jobs[3]), (runs["noise1"], runs["noise2"]))
        found["noise"] = _axes(blank)[0] if blank.count else {"significance": None}
    for axis, order in zip(found["axes"], stages.orders(motion, pair)):
        axis |= {"real": axis_is_real(axis, found.get("noise")), "order": order}
    if motion.count:
        chosen = next((j for j, axis in enumerate(found["axes"]) if axis["real"]), 0)
        found["states"] = stages.states(motion, chosen, pieces, pair)
        found["landscape_maps"] = stages.landscape_maps(pair)
    reference = stages.own_coordinates(motion, pair)[0][:, 0] if motion.count else None
    found["sensitivity"] = [
        {"changed": words, **stages.compared((piece, jobs[1]), (runs[piece.name], pair[1]), reference)}
        for words, piece in zip(changes, jobs[len(jobs) - len(changes) :])
    ]
    return found


def _axes(motion: Motion) -> list[dict[str, Any]]:
    return [
        {
            "axis": j + 1,
            "significance": float(motion.significance[j]),
            "resolution": float(motion.resolution[j]) if np.isfinite(motion.resolution[j]) else None,
            "shape_share": float(motion.share[j]),
            "pose_and_ctf": max(float(frame.nuisance) for frame in motion.frames),
            "curve": motion.curve[j],
        }
        for j in range(motion.count)
    ]


def _strongest(motion: Motion) -> dict[str, Any] | None:
    """The best axis when contrast, rigid moves and what is round are left in."""
    return None if not motion.count else {"significance": motion.anything[0], "resolution": motion.anything[1]}


def _require_inferred(run: Run) -> None:
    method = run_method(run)
    if finds_poses(method):
        raise ConfigError(
            f"{run.path}: {method.name} finds poses, so that two of its runs have frames of their own and cannot be "
            f"compared yet; validate a run of -m auto on the particles that it left ({run.path}/particles.*)"
        )
    if told(method):
        raise ConfigError(
            f"{run.path}: {method.name} is told z and does not infer it, so that two halves can only agree about it; "
            "validate a run of a method that infers z"
        )


def _has_latent(whole: Whole) -> bool:
    """Whether the method gives each particle a z (read off its parts; else off the finished run)."""
    part = getattr(whole.method, "conformation", whole.method)
    if hasattr(part, "z_dim"):
        return part.z_dim > 0
    return (whole.run.path / "estimates.npz").exists() and "z" in whole.run.estimates()


def _run_all(whole: Whole, jobs: list[Piece], conduct: Conduct) -> dict[str, Run]:
    folder, runs = whole.run.path / "validation", {}
    spent: list[float] = []
    for number, piece in enumerate(jobs):
        if conduct.asked_to_stop():
            raise InterruptedRun("stopped between two runs")
        left = len(jobs) - number
        guess = f", about {left * sum(spent) / len(spent) / 60:.0f} min for the {left} left" if spent else ""
        what = "noise in place of images, " if piece.noise else ""
        words = f"run {number + 1} of {len(jobs)}: {piece.name} ({what}half {piece.half + 1}){guess}"
        conduct.report({"event": "note", "text": words})
        began = time.monotonic()
        fresh = not (folder / piece.name / "config.toml").exists()
        runs[piece.name] = run_piece(whole, piece, folder, conduct)
        if fresh:
            spent.append(time.monotonic() - began)
    return runs


def _written(run: Run, found: dict[str, Any]) -> dict[str, Any]:
    found = plain(found)
    found["motion"] = any(axis["real"] for axis in found.get("axes", ()))
    found["verdict"] = verdict(found)
    write_text(run.path / "validation" / "validation.json", json.dumps(found, indent=1, ensure_ascii=False))
    run.save_metrics(figures_of(found))
    return found
