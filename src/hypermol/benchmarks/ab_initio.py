"""`make bench-abinitio`: a rigid molecule from images alone, over several seeds, beside what the true map allows.

homogeneous, 5,000 × 64 px, SNR 0.1, CTF, shifts up to ±5 px; `hypermol train -m abinitio` from random starts; it never
reads the poses of the file. Wanted, of every seed: median errors of pose at most 1.25 × those of the same search
against the true map; FSC 0.5 with the truth within one shell of the back projection from true poses; 15 minutes of two
cores, all starts counted.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hypermol.benchmarks.circumstances import ROOT, write_result
from hypermol.benchmarks.measure import free_folder, hypermol, simulated
from hypermol.imaging import spacing_deg
from hypermol.kernels import volume_to_grid
from hypermol.maps import align_maps, read_map
from hypermol.metrics import PoseErrors, fsc, pose_errors, pose_scores
from hypermol.particles import ImageSource, read_particles
from hypermol.poses import ScoredImages, SearchLevels, refine_poses, search_poses
from hypermol.reconstruction import consensus, first_below
from hypermol.runs import Run
from hypermol.simulation import Truth

BATCH = 250
FAR_DEG = 10.0
"""A particle whose rotation is off by more counts as lost."""


def main(arguments: list[str] | None = None) -> None:
    """Simulate, reconstruct and compare once per seed, and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("-n", type=int, default=5000)
    parser.add_argument("--box", type=int, default=64)
    parser.add_argument("--snr", type=float, default=0.1)
    parser.add_argument("--shift", type=float, default=5.0, help="largest shift, pixels")
    parser.add_argument("--work", type=Path, default=ROOT / ".bench" / "ab-initio")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "ab-initio.json")
    chosen = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = []
    problem = f"homogeneous, {chosen.n} x {chosen.box} px, SNR {chosen.snr:g}, CTF, shifts up to {chosen.shift:g} px"
    for seed in chosen.seeds:
        folder = chosen.work / f"n{chosen.n}-d{chosen.box}-snr{chosen.snr:g}-seed{seed}"
        settings = [f"shift_px={chosen.shift:g}", "ctf=true"]
        data = simulated("homogeneous", folder / "data", chosen.n, chosen.box, chosen.snr, seed, settings)
        run = free_folder(folder / "abinitio")
        cost = hypermol(
            ["train", data / "particles.star", "-m", "abinitio", "-o", run, "--set", f"seed={seed}"], folder / "run.log"
        )
        rows.append({"seed": seed, **cost.row(), **compared(Run.open(run), Truth.load(data))})
        print(rows[-1], flush=True)
        content = {"command": "make bench-abinitio", "problem": problem, "rows": rows}
        write_result(chosen.out, content)
    print(f"written: {chosen.out}")


def compared(run: Run, truth: Truth) -> dict[str, Any]:
    """Pose errors and map of a run, and of the same search and of back projection told the truth."""
    found, exact, mask = run.estimates(), truth.map(0).float(), truth.mask().float()
    scores = pose_scores(found["rotation"], truth.rotation, found["shift"], truth.shift, pixel_size=truth.pixel_size)
    source = ImageSource(read_particles(truth.folder / "particles.star"))
    map_ = align_maps(read_map(run.volumes / "consensus.mrc")[0], exact).aligned
    from_truth = consensus(source).map
    return {
        **_errors("", scores.overall),
        **_errors("of the search given the true map, ", told(source, truth)),
        "other_hand": scores.mirrored,
        "shell_of_fsc_half": first_below(fsc(map_, exact, mask), 0.5) - 1,
        "shell_of_fsc_half, from true poses": first_below(fsc(from_truth, exact, mask), 0.5) - 1,
        "resolution": run.metrics()["resolution_corrected"]["value"],
    }


def told(source: ImageSource, truth: Truth) -> PoseErrors:
    """The same search and refinement of every particle, against the true map in every shell."""
    grid, levels = volume_to_grid(truth.map(0).float()), SearchLevels()
    rotation, shift = np.empty_like(truth.rotation), np.empty_like(truth.shift)
    for rows in torch.arange(truth.count).split(BATCH):
        images = ScoredImages.of(next(iter(source.stream([rows]))))
        turned, moved, _ = search_poses(images, grid, levels).first
        turned, moved, _ = refine_poses(images, grid, turned, moved, spacing_deg(levels.last_order) / 2)
        rotation[rows], shift[rows] = turned.numpy(), (moved * truth.pixel_size).numpy()
    return pose_errors(rotation, truth.rotation, shift, truth.shift, truth.pixel_size)


def _errors(whose: str, errors: PoseErrors) -> dict[str, float]:
    medians = {
        "rotation_deg": errors.rotation_deg,
        "direction_deg": errors.direction_deg,
        "shift_px": errors.shift_px,
    }
    found = {f"{whose}median_{name}": round(float(np.median(values)), 4) for name, values in medians.items()}
    lost = round(100 * float((errors.rotation_deg > FAR_DEG).mean()), 2)
    return {**found, f"{whose}lost_percent": lost}


if __name__ == "__main__":
    main()
