"""`make bench-amortised`: poses by an encoder, from images alone, on a CPU.

Parts. symmetrised: `cryoai` with a voxel grid, homogeneous, 32 px, SNR 1, CTF, no shifts (the built-in molecule has no
symmetry); wanted: median error of the viewing direction ≤ 10°, of unseen images within 20 % of that, 60 minutes of two
cores per seed, all starts counted. A start is accepted when the likelihood of images held out says that
the map explains most of what it could; of those that ran the likeliest counts; nothing of this looks at the truth.
one-copy: the same without the symmetrised loss; the map's correlation with its best mirror image (``plane_symmetry``)
tells the spurious plane. two-states: `cryofire` with that grid and two more that z weighs, through both phases, two
states of 90 and 10 %, beside the same without z. decoders: seconds per step with each family of volumes. Rows that are
in the result file already are not run again.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hypermol.benchmarks.circumstances import ROOT, fill_rows
from hypermol.benchmarks.measure import Cost, method_words, simulated, trained
from hypermol.engine import Draws, Processes
from hypermol.maps import align_maps, read_map
from hypermol.methods import Conduct, configured, find_method, trained_encoder
from hypermol.methods.job import make_ready
from hypermol.metrics import fsc, plane_symmetry, pose_scores
from hypermol.particles import ImageSource, Preparation, read_particles
from hypermol.reconstruction import first_below
from hypermol.runs import Run
from hypermol.simulation import Truth, state_scores

PARTS = ("symmetrised", "one-copy", "two-states", "decoders")
SMALL = {
    "precision": "float32",
    "learning_rate": 1e-3,
    "pose.channels": 8,
    "pose.filters": 3,
    "pose.phase_flipped": True,
    "pose.shifts": False,
    "pose.heads": 8,
    "batch_size": 32,
}
"""What fits a CPU: a narrow encoder, ten times the paper's rate, eight answers for each copy: with one, none of our
runs came away from a single view of all images."""
GRID = {**SMALL, "volume": "voxels", "volume.step": 100}
MARCH = {"phases.0.march_start": 0.27, "phases.0.march_end": 0.6, "phases.0.cooling": 0.3}
POSES_FIRST = {"phases.0.march_start": 0.27, "phases.0.march_end": 0.9, "phases.1.cooling": 0.5}
DECODERS = {
    "voxels, real": {"volume": "voxels"},
    "voxels, hartley": {"volume": "voxels", "volume.space": "hartley"},
    "fourier-net": {},
    "fourier-field": {"volume": "fourier-field"},
}
EXPLAINED = 0.8
"""Share of what a map could explain of held-out images at which a start is accepted."""
HELD_OUT_SEED = 10_000
STEPS = 10


def main(arguments: list[str] | None = None) -> None:
    """Run what is not in the result file yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("-n", type=int, default=5000)
    parser.add_argument("--box", type=int, default=32)
    parser.add_argument("--snr", type=float, default=1.0)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--starts", type=int, default=3, help="at most, of the part symmetrised")
    parser.add_argument("--work", type=Path, default=ROOT / ".bench" / "amortised")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "amortised.json")
    chosen = parser.parse_args(arguments)
    made = {"symmetrised": _symmetrised, "one-copy": _one_copy, "two-states": _two_states, "decoders": _decoders}
    size = {"images": chosen.n, "box": chosen.box, "snr": chosen.snr, "epochs": chosen.epochs}
    jobs = (
        ({"part": part, "seed": seed, **size}, partial(made[part], chosen, seed))
        for part in chosen.parts
        for seed in (chosen.seeds if part != "decoders" else chosen.seeds[:1])
    )
    fill_rows(chosen.out, "make bench-amortised", jobs)


def _data(chosen: argparse.Namespace, recipe: str, seed: int, settings: list[str], count: int) -> Path:
    folder = chosen.work / f"{recipe}-n{count}-d{chosen.box}-snr{chosen.snr:g}-seed{seed}"
    return simulated(recipe, folder, count, chosen.box, chosen.snr, seed, ["shift_px=0", *settings])


def _train(method: str, data: Path, run: Path, seed: int, settings: dict[str, Any]) -> Cost:
    said = {key: str(value).lower() if isinstance(value, bool) else value for key, value in settings.items()}
    given = ",".join(f"{key}={value}" for key, value in said.items())
    return trained(run, data / "particles.star", method_words(f"{method}:{given}", seed))


def _symmetrised(chosen: argparse.Namespace, seed: int) -> dict[str, Any]:
    return _rigid(chosen, seed, "half-turn", chosen.starts)


def _one_copy(chosen: argparse.Namespace, seed: int) -> dict[str, Any]:
    return _rigid(chosen, seed, "one", 1)


def _rigid(chosen: argparse.Namespace, seed: int, copies: str, starts: int) -> dict[str, Any]:
    data = _data(chosen, "homogeneous", seed, [], chosen.n)
    held_out = _data(chosen, "homogeneous", HELD_OUT_SEED + seed, [], 1000)
    settings = {**GRID, **MARCH, "epochs": chosen.epochs, "pose.copies": copies}
    cost, tried, ends = Cost(), list[dict[str, Any]](), list[Path]()
    for start in range(starts):
        run = data.parent / f"{data.name}-{copies}-e{chosen.epochs}" / f"start{start}"
        cost += _train("cryoai", data, run, 100 * seed + start, settings)
        tried.append(explained(run, held_out))
        ends.append(run)
        if tried[-1]["explained"] >= EXPLAINED:
            break
    best = max(range(len(tried)), key=lambda start: tried[start]["held_out_log_likelihood"])
    row = {**cost.row(), "starts": len(tried), "explained": [one["explained"] for one in tried]}
    return {**row, **_errors(ends[best], Truth.load(data), Truth.load(held_out))}


def explained(run: Path, data: Path) -> dict[str, float]:
    """The mean log-likelihood of images that a run has not seen, and how far it has come from that of no map at all (0)
    to that of a map that leaves nothing but noise (1)."""
    source = ImageSource(read_particles(data / "particles.star"))
    found = float(trained_encoder(Run.open(run), "cpu").look_at_all(source)["log_likelihood"].mean())
    batch = source.load(torch.arange(source.count))
    weight = batch.lattice.weight / batch.variance
    nothing = -float((batch.images.abs().square() * weight).sum((1, 2)).mean())
    noise = -float(batch.lattice.weight.sum())  # E |N|²/σ² = 1 of every point
    return {
        "held_out_log_likelihood": round(found, 2),
        "explained": round((found - nothing) / (noise - nothing), 4),
    }


def _errors(run: Path, truth: Truth, unseen: Truth) -> dict[str, Any]:
    encoder = trained_encoder(Run.open(run), "cpu")
    own = pose_scores(encoder.run.estimates()["rotation"], truth.rotation)
    source = ImageSource(read_particles(unseen.folder / "particles.star"))
    found = encoder.look_at_all(source)["rotation"].numpy()
    other = pose_scores(found, unseen.rotation)
    map_, exact = read_map(encoder.run.volumes / "map.mrc")[0], truth.map(0).float()
    aligned = align_maps(map_, exact).aligned
    medians = [float(np.median(one.overall.direction_deg)) for one in (own, other)]
    return {
        "median_direction_deg": round(medians[0], 2),
        "median_direction_deg_unseen": round(medians[1], 2),
        "unseen_over_own": round(medians[1] / medians[0], 3),
        "median_rotation_deg": round(float(np.median(own.overall.rotation_deg)), 2),
        "other_hand": own.mirrored,
        "shell_of_fsc_half": first_below(fsc(aligned, exact, truth.mask().float()), 0.5) - 1,
        "plane_symmetry": round(plane_symmetry(map_.numpy())[0], 3),
        "plane_symmetry_of_truth": round(plane_symmetry(exact.numpy())[0], 3),
    }


def _two_states(chosen: argparse.Namespace, seed: int) -> dict[str, Any]:
    """cryofire with the grid decoder on two states, two thirds of its images seen in the phase of poses only; and the
    same without z."""
    data = _data(chosen, "hinge", seed, ["levels=2", "populations=[0.9,0.1]"], chosen.n)
    held_out = _data(chosen, "hinge", HELD_OUT_SEED + seed, ["levels=2", "populations=[0.9,0.1]"], 1000)
    first, row = chosen.n * chosen.epochs * 2 // 3, dict[str, Any]()
    for z_dim in (2, 0):
        settings = {**GRID, **POSES_FIRST, "z_dim": z_dim, "phases.0.images": first, "epochs": chosen.epochs // 3}
        run = data.parent / f"{data.name}-cryofire-e{chosen.epochs}" / f"z{z_dim}"
        cost = _train("cryofire", data, run, seed, settings)
        own = float(Run.open(run).estimates()["log_likelihood"].mean())
        figures = {**cost.row(), "log_likelihood": round(own, 2), **explained(run, held_out)}
        figures |= _states(run, Truth.load(data))
        row |= {f"z_dim {z_dim}, {name}": value for name, value in figures.items()}
    return row


def _states(run: Path, truth: Truth) -> dict[str, float]:
    """Errors of poses, and how well z tells the states apart."""
    found = Run.open(run).estimates()
    errors = pose_scores(found["rotation"], truth.rotation).overall.direction_deg
    told = {"median_direction_deg": round(float(np.median(errors)), 2)}
    if "z" in found:
        scores = state_scores(truth, found["z"])
        told |= {
            "states_told_apart": round(scores.told_apart, 4),
            "confusion_of_clusters": round(scores.clusters.error, 4),
        }
    return told


def _decoders(chosen: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Processor seconds of one step of 32 images with each decoder at its defaults, the encoder the same."""
    data, row = _data(chosen, "homogeneous", seed, [], chosen.n), dict[str, Any]()
    for name, volume in DECODERS.items():
        method = configured(find_method("cryoai"), {**SMALL, "batch_size": 32, **volume})
        job = make_ready(read_particles(data / "particles.star"), method, Preparation(), seed, Conduct(), Processes())
        state, step = job.program.initialise(), job.program.phases[0].steps[0]
        batch, began = job.source.load(torch.arange(32)), 0.0
        draws = Draws(seed, (0, 0, 0), 32, 0, 32, batch.images.device)
        for turn in range(STEPS + 2):
            if turn == 2:  # compiled, and memory at hand
                began = time.process_time()
            state = step.apply(state, dict(step.contribute(state, batch, draws).totals))  # type: ignore[arg-type]
        row[f"cpu_seconds_per_step, {name}"] = round((time.process_time() - began) / STEPS, 4)
    return row


if __name__ == "__main__":
    main()
