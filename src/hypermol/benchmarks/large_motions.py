"""`make bench-large-motions`: where a few principal volumes cannot follow, and what the images near a z make of it.

A part that goes around a full circle (``circular1d``): maps at a particle's z by the components themselves, and by the
images near that z, for a growing number of components. Both read the same z of the same training.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from hypermol.benchmarks.circumstances import ROOT, write_result
from hypermol.benchmarks.measure import hypermol, simulated
from hypermol.methods import Trained, rebuild
from hypermol.metrics import fsc_mean
from hypermol.runs import Run
from hypermol.simulation import AT_Z, MEAN, WHOLE, Truth, gain_of, map_curves, truth_masks

READINGS = {"components": True, "images near z": False}


def main(arguments: list[str] | None = None) -> None:
    """Simulate, train once per number of components and seed, read twice, and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--motion", default="circular1d")
    parser.add_argument("--components", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("-n", type=int, default=10_000)
    parser.add_argument("--box", type=int, default=64)
    parser.add_argument("--snr", type=float, default=0.1)
    parser.add_argument("--particles", type=int, default=40, help="Compared with their own true maps.")
    parser.add_argument("--work", type=Path, default=ROOT / ".bench" / "large-motions")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "large-motions.json")
    chosen = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = []
    problem = f"{chosen.motion}, {chosen.n} x {chosen.box} px, SNR {chosen.snr:g}, CTF, shifts up to 2 px, poses known"
    for seed in chosen.seeds:
        folder = chosen.work / f"{chosen.motion}-n{chosen.n}-d{chosen.box}-snr{chosen.snr:g}-seed{seed}"
        size = chosen.n, chosen.box, chosen.snr, seed
        data = simulated(chosen.motion, folder / "data", *size, ["shift_px=2", "ctf=true"])
        for count in chosen.components:
            rows += _read(_trained(folder, data, count), Truth.load(data), count, seed, chosen.particles)
            for row in rows[-len(READINGS) :]:
                print(f"seed {seed}, {row['components']} components, {row['maps']}: gain {row['gain']:.3f}", flush=True)
            content = {"command": "make bench-large-motions", "problem": problem, "rows": rows}
            write_result(chosen.out, {**content, "compared": chosen.particles})
    print(f"written: {chosen.out}")


def _trained(folder: Path, data: Path, count: int) -> Run:
    run = folder / f"components{count}"
    if not (run / "estimates.npz").exists():
        command: list[str | Path] = ["train", data / "particles.star", "-o", run, "--set", f"z_dim={count}"]
        hypermol(command, folder / f"{run.name}.log")
    return Run.open(run)


def _read(run: Run, truth: Truth, count: int, seed: int, compared: int) -> list[dict[str, Any]]:
    chosen = truth.sample(compared)
    rows = []
    for name, own in READINGS.items():
        found: Trained = rebuild(run, own_maps=own)
        maps = (found.map_of(int(particle)) for particle in chosen)
        curves = map_curves(truth, chosen, maps, {MEAN: truth.mean_map()}, truth_masks(truth))
        whole = {key: float(fsc_mean(rows).mean()) for key, rows in curves[WHOLE].items()}
        row = {"seed": seed, "components": count, "kept": found.latent().shape[1], "maps": name}
        row |= {"gain": round(gain_of(curves), 4), "whole_map_fsc": round(whole[AT_Z], 4)}
        rows.append({**row, "whole_map_fsc_of_noise_free_mean": round(whole[MEAN], 4)})
    return rows


if __name__ == "__main__":
    main()
