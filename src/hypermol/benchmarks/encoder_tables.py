"""`make bench-encoder-tables`: Table 1 and Figure 3 of Levy et al. 2022 (cryoFIRE), for a GPU.

ribosome-90-10: 50,000 images of 128 px at -10 dB, two volumes of 90 and 10 %; ribosome-k2, -k3, -k10: 100,000 images of
equal states along a turn. Poses are hidden. A row: time of training, every figure that the benchmark has of the
particles that a method learned from (``figures``), and the same of a fifth as many that it has never seen
(``unseen``, by `hypermol infer`), with the milliseconds that each of them took. Training that was interrupted goes on
where it stopped (its time is then that of the rest), and rows that are in the result file already are not run again.

A method is NAME, or NAME:key=value,key=value. -n and --box give fewer and smaller images: a hundredth of the first
table's images on a processor: `-n 500 --methods cryofire:volume=voxels,phases.0.images=500,epochs=1`. The peer, which
finds poses by search (cryoDRGN2): `hypermol bench ribosome-90-10 --tier paper --hide pose,shift --entrants
cryodrgn-abinit_het_old`.
"""

from __future__ import annotations

import argparse
import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hypermol.benchmarks.answer import Answer, answer_of
from hypermol.benchmarks.circumstances import ROOT, fill_rows
from hypermol.benchmarks.given import Given
from hypermol.benchmarks.measure import hypermol, method_words, trained
from hypermol.benchmarks.problem import find_problem
from hypermol.benchmarks.scoring import score
from hypermol.maps import align_maps
from hypermol.metrics import fsc, pose_scores, resolution
from hypermol.runs import Run
from hypermol.simulation import Truth, simulate

PROBLEMS = ("ribosome-90-10", "ribosome-k2", "ribosome-k3", "ribosome-k10")
GRID = "volume=voxels,volume.step=100,pose.heads=8,learning_rate=1e-3"
METHODS = ("cryofire", f"cryofire:{GRID}", f"hybrid:{GRID}")
UNSEEN_SEED = 10_000
COMPARED = 100
"""Particles whose maps are compared with their own."""
HIDDEN = Given(pose=False, shift=False)


def main(arguments: list[str] | None = None) -> None:
    """Simulate, train, infer, score; write the result file after every row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=PROBLEMS[:1])
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("-n", type=int, help="images (default: the published number)")
    parser.add_argument("--box", type=int, default=128)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--work", type=Path, default=ROOT / ".bench" / "encoder-tables")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "encoder-tables.json")
    chosen = parser.parse_args(arguments)
    cells = [(seed, name, method) for seed in chosen.seeds for name in chosen.problems for method in chosen.methods]
    size = {"images": chosen.n, "box": chosen.box}
    jobs = (
        ({"problem": problem, "method": method, "seed": seed, **size}, partial(_row, chosen, problem, method, seed))
        for seed, problem, method in cells
    )
    fill_rows(chosen.out, "make bench-encoder-tables", jobs)


def _row(chosen: argparse.Namespace, problem: str, method: str, seed: int) -> dict[str, Any]:
    folder = chosen.work / f"{problem}-n{chosen.n or 'all'}-d{chosen.box}-seed{seed}"
    own = _data(problem, folder / "data", seed, chosen.n, chosen.box)
    other = _data(problem, folder / "unseen", UNSEEN_SEED + seed, own.count // 5, chosen.box)
    run = folder / "".join(letter if letter.isalnum() else "-" for letter in method)
    cost = trained(run, own.folder / "particles.star", method_words(method, seed), chosen.device)
    answer = answer_of(Run.open(run), HIDDEN)
    row: dict[str, Any] = {**cost.row(), "figures": {**_figures(own, answer), **_means(own, answer)}}
    row["resolution_px_of_states"] = _states(own, answer)
    inferred = run.with_name(f"{run.name}-unseen")
    if not (inferred / "config.toml").exists():
        star = other.folder / "particles.star"
        more = ["--reference", "0", "--device", chosen.device]
        hypermol(["infer", run, star, "-o", inferred, *more], inferred.with_suffix(".log"))
    elif not Run.open(inferred).finished:
        hypermol(["infer", "--resume", inferred], inferred.with_suffix(".log"))
    done = [one["seconds"] for one in Run.open(inferred).log() if one["event"] == "pass"]
    row["unseen_ms_per_image"] = round(1e3 * sum(done) / other.count, 4)
    told = answer_of(Run.open(inferred), HIDDEN)
    row["unseen"] = {**_figures(other, dataclasses.replace(told, maps=None)), **_means(other, told)}
    return row


def _data(problem: str, folder: Path, seed: int, count: int | None, box: int) -> Truth:
    """The problem's images, made unless they are there."""
    if not (folder / "truth.npz").exists():
        recipe, _ = find_problem(problem).settled("paper", seed, folder.parent / "models")
        extent = recipe.box * float(recipe.pixel_size or 1.0)
        sized = dataclasses.replace(recipe, n=count or recipe.n, box=box, pixel_size=extent / box)
        simulate(sized, folder)
    return Truth.load(folder)


def _figures(truth: Truth, answer: Answer) -> dict[str, Any]:
    """Name → number, without how it was reached."""
    found = score(truth, answer, truth.sample(min(COMPARED, truth.count)), {})
    return {f"{name} ({entry['unit']})" if entry.get("unit") else name: entry["value"] for name, entry in found.items()}


def _means(truth: Truth, answer: Answer) -> dict[str, float]:
    """The means that the paper has beside the medians."""
    if answer.rotation is None or answer.shift is None:
        return {}
    poses = answer.rotation, truth.rotation, answer.shift, truth.shift
    found = pose_scores(*poses, pixel_size=truth.pixel_size).overall
    shift_px = np.zeros(1) if found.shift_px is None else found.shift_px
    return {
        "mean direction error (°)": float(np.mean(found.direction_deg)),
        "mean square of shift errors (px²)": float(np.mean(np.square(shift_px))),
    }


def _states(truth: Truth, answer: Answer) -> list[float]:
    """Where FSC is 0.5 (px), of the map of the particle in the midst of each true state, aligned to that state."""
    if answer.z is None or answer.maps is None:
        return []
    found = []
    for state in np.unique(truth.state):
        rows = np.flatnonzero(truth.state == state)
        far = np.linalg.norm(answer.z[rows] - answer.z[rows].mean(0), axis=1)
        map_, exact = next(answer.maps(rows[[far.argmin()]])), truth.map_of_state(int(state)).float()
        curve = fsc(align_maps(map_.float(), exact, either_hand=True).aligned, exact)
        found.append(round(resolution(curve, 1.0, 0.5), 3))
    return found


if __name__ == "__main__":
    main()
