"""`make bench-unknown-poses`: molecules that move, reconstructed from images alone; tables 2, S3 and S4 of cryoDRGN's
paper (Zhong et al. 2020), fewer images.

Its protocol: 64 px over 720 Å, shifts up to ±5 px, no CTF and no noise; for tilt pairs the second image at 45°. The map
at each of 100 particles' z is compared with that particle's own true map: resolution in pixels where their FSC falls
below 0.5, at best 2. A pose found may turn, shift and mirror with the conformation, for nothing in the images speaks
against it; so resolutions are given after one alignment of all maps, and after one of each. Where little of a molecule
moves that criterion is met by one map for all: the same figure of the noise-free mean map stands beside it, both in a
mask around what moves too, and the gain there (0: the mean map, 1: the truth; shells up to half of Nyquist).

A method is NAME, or NAME:key=value,key=value. cryoDRGN's own programs take part as cryodrgn-abinit_het_old and
cryodrgn-abinit (`make peers`), keys being the options of their command lines: cryodrgn-abinit_het_old:zdim=2 (no tilt
pairs: 4.3.1 cannot read them any more). Rows that are in the result file already are not run again. The paper's size,
50,000 images (pairs), for a GPU: `make bench-unknown-poses-paper`.
"""

from __future__ import annotations

import argparse
import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.benchmarks.answer import Answer, answer_of
from hypermol.benchmarks.circumstances import ROOT, fill_rows
from hypermol.benchmarks.cryodrgn_files import epoch_seconds
from hypermol.benchmarks.entrants.cryodrgn import CryoDrgn
from hypermol.benchmarks.entrants.roster import find_entrant
from hypermol.benchmarks.given import Given
from hypermol.benchmarks.measure import Cost, free_folder, method_words, simulated, trained
from hypermol.benchmarks.problem import find_problem
from hypermol.benchmarks.task import Task
from hypermol.errors import ConfigError, DataError
from hypermol.maps import MapAlignment, align_maps, refine_alignment
from hypermol.methods import METHODS
from hypermol.metrics import fsc, gain, pose_scores, resolution
from hypermol.runs import Run
from hypermol.simulation import MOVING, Truth, as_order, order_scores, truth_masks

PUBLISHED = {
    "linear1d": {"cryoDRGN": 2.34, "cryoDRGN, tilt pairs": 2.35, "cryoSPARC": 3.60},
    "linear2d": {"cryoDRGN": 4.38, "cryoDRGN, tilt pairs": 2.93, "cryoSPARC": 5.98},
    "circular1d": {"cryoDRGN": 4.05, "cryoDRGN, tilt pairs": 2.63, "cryoSPARC": 4.62},
    "discrete10": {"cryoDRGN": 4.95, "cryoDRGN, tilt pairs": 2.58, "cryoSPARC": 5.69},
}
"""The best of each row of Zhong et al. 2020, tables 2, S3 and S4 (px; other dimensions of z, other numbers of classes,
are worse)."""
PAPER = ["pixel_size=11.25", "enlarge=3.75", "shift_px=5"]
HALF = 0.5
HIDDEN = Given(pose=False, shift=False)
STATES = 5
"""Of a motion with more levels, so many neighbouring ones are taken for one when frames are told apart."""


def main(arguments: list[str] | None = None) -> None:
    """Simulate, reconstruct and compare, and write the result file after every row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(PUBLISHED))
    parser.add_argument("--methods", nargs="+", default=["ppca-abinitio"])
    parser.add_argument("--tilts", action="store_true", help="Tilt pairs, half as many particles.")
    parser.add_argument("--noisy", action="store_true", help="SNR 0.1 and CTF.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("-n", type=int, default=5000, help="Images.")
    parser.add_argument("--box", type=int, default=64)
    parser.add_argument("--particles", type=int, default=100, help="Compared with their own true maps.")
    parser.add_argument("--resume", action="store_true", help="Continue runs that an earlier call left unfinished.")
    parser.add_argument("--work", type=Path, default=ROOT / ".bench" / "unknown-poses")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "unknown-poses.json")
    chosen = parser.parse_args(arguments)
    cells = [(seed, name, method) for seed in chosen.seeds for name in chosen.sets for method in chosen.methods]
    size = {"images": chosen.n, "box": chosen.box, "tilt_pairs": chosen.tilts}
    noise = {"snr": 0.1 if chosen.noisy else None}
    jobs = (
        ({"set": name, **size, "seed": seed, **noise, "method": method}, partial(_row, chosen, name, method, seed))
        for seed, name, method in cells
    )
    fill_rows(chosen.out, "make bench-unknown-poses", jobs)


def _row(chosen: argparse.Namespace, name: str, method: str, seed: int) -> dict[str, Any]:
    kind = ("tilts-" if chosen.tilts else "") + ("snr0.1" if chosen.noisy else "clean")
    folder = chosen.work / f"{name}-n{chosen.n}-d{chosen.box}-{kind}-seed{seed}"
    settings = [f"pixel_size={720 / chosen.box:g}", *PAPER[1:], f"ctf={str(chosen.noisy).lower()}"]
    settings += ["tilts_deg=0,45"] if chosen.tilts else []
    particles, snr = chosen.n // 2 if chosen.tilts else chosen.n, 0.1 if chosen.noisy else float("inf")
    data = simulated(name, folder / "data", particles, chosen.box, snr, seed, settings)
    run = folder / method.replace(":", "-").replace(",", "-")
    run = run if chosen.resume else free_folder(run)
    resumed = run.exists()  # and what is known of its cost may be that of the last call alone
    task = Task(find_problem(name), "paper", seed, folder, HIDDEN)
    cost, answer, seconds = (
        _own_run(run, task, method) if method.partition(":")[0] in METHODS else _peer(run, task, method)
    )
    row = {**cost.row(), **compared(answer, Truth.load(data), chosen.particles)}
    if resumed:  # what this call cost is not all of it
        row |= {"resumed": True, "wall_seconds_of_all_passes": round(sum(seconds), 1)}
    return {**row, "published_px": PUBLISHED[name]}


def _own_run(run: Path, task: Task, method: str) -> tuple[Cost, Answer, list[float]]:
    """What a method of ours cost and found, and the seconds of its passes in all calls."""
    cost = trained(run, task.data / "particles.star", method_words(method, task.seed))
    finished = Run.open(run)
    seconds = [event.get("seconds", 0.0) for event in finished.log() if event["event"] == "pass"]
    return cost, answer_of(finished, HIDDEN), seconds


def _peer(run: Path, task: Task, method: str) -> tuple[Cost, Answer, list[float]]:
    """The same of one of cryoDRGN's programs."""
    name, _, given = method.partition(":")
    entrant = find_entrant(name)
    if not isinstance(entrant, CryoDrgn):
        raise ConfigError(f"{name}: expected a method of hypermol or one of cryoDRGN's, as cryodrgn-abinit_het_old")
    told = dict(setting.split("=", 1) for setting in given.split(",") if setting)
    entrant = dataclasses.replace(entrant, more=tuple(word for key in told for word in (f"--{key}", told[key])))
    if unfit := entrant.unfit(task):
        raise ConfigError(f"{name} {unfit}")
    run.mkdir(parents=True, exist_ok=True)
    outcome = entrant.run(task, run, 0.0)
    return outcome.cost, outcome.answer, epoch_seconds((run / "log.txt").read_text(errors="replace"))


def compared(answer: Answer, truth: Truth, count: int) -> dict[str, Any]:
    """Resolutions of maps (px), errors of poses, and what z knows of the motion."""
    mean, moving = truth.mean_map().float(), truth_masks(truth)[MOVING]
    chosen = truth.sample(count)
    maps = _maps(answer, chosen)
    one = maps[0] if answer.consensus is None else answer.consensus
    frame = align_maps(one.float(), mean)
    names = ("after_one_alignment", "after_own_alignment", "of_noise_free_mean_map")
    curves: dict[str, list[list[Tensor]]] = {"": [[], [], []], "_moving_domain": [[], [], []]}
    laid: dict[tuple[int, int], Tensor] = {}  # of few states and classes many particles have the same two maps
    for particle, found in zip(chosen, maps, strict=True):
        map_, exact = found.float(), truth.map(int(particle)).float()
        pair = hash(map_.numpy().tobytes()), hash(exact.numpy().tobytes())
        if pair not in laid:
            laid[pair] = _own(map_, exact, frame, truth).aligned
        shown = frame.lay(map_), laid[pair], mean
        for where, mask in (("", None), ("_moving_domain", moving)):
            for rows, map_shown in zip(curves[where], shown, strict=True):
                rows.append(fsc(map_shown, exact, mask))
    figures: dict[str, Any] = {"compared": count}
    for where, found_curves in curves.items():
        for name, rows in zip(names, found_curves, strict=True):
            figures |= _spread(f"px{where}_{name}", [_resolution(curve) for curve in rows])
    _, own, one_map = (torch.stack(rows).mean(0) for rows in curves["_moving_domain"])
    figures["gain_after_own_alignment"] = round(float(gain(own, one_map)), 4)
    figures |= _poses(answer, truth)
    if answer.z is not None and as_order(truth):
        figures["r_squared_of_z"] = [round(score.r_squared, 3) for score in order_scores(truth, answer.z)]
    return figures


def _maps(answer: Answer, particles: np.ndarray) -> list[Tensor]:
    if answer.maps is not None:
        return list(answer.maps(particles))
    if answer.consensus is None:
        raise DataError("no map was found")
    return [answer.consensus] * len(particles)


def _own(map_: Tensor, exact: Tensor, frame: MapAlignment, truth: Truth) -> MapAlignment:
    """From the common frame where the motion is continuous or in many steps; of few states each may have its own, and
    its own hand where there are no tilts: images of other states say nothing of it."""
    if as_order(truth):
        return refine_alignment(map_, exact, frame)
    return align_maps(map_, exact, either_hand=truth.shift.shape[1] == 2)


def _resolution(curve: Tensor) -> float:
    return min(resolution(curve, 1.0, HALF), 2.0 * len(curve))


def _spread(name: str, values: list[float]) -> dict[str, float]:
    return {f"{name}_mean": round(float(np.mean(values)), 3), f"{name}_std": round(float(np.std(values)), 3)}


def _poses(answer: Answer, truth: Truth) -> dict[str, Any]:
    if answer.rotation is None:
        return {}
    state = truth.state // (-(-(int(truth.state.max()) + 1) // (STATES * 2)) if as_order(truth) else 1)
    flat = truth.shift.shape[1] == 2 and answer.shift is not None
    moved, known = (answer.shift, truth.shift) if flat else (None, None)
    scores = pose_scores(answer.rotation, truth.rotation, moved, known, state=state, pixel_size=truth.pixel_size)
    found: dict[str, Any] = {"other_hand": scores.mirrored}
    for name, errors in (("", scores.overall), (", frames per state", scores.per_state)):
        if errors is not None:
            found[f"median_rotation_deg{name}"] = round(float(np.median(errors.rotation_deg)), 3)
            if flat:
                found[f"median_shift_px{name}"] = round(float(np.median(errors.shift_px)), 4)
    return found


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
