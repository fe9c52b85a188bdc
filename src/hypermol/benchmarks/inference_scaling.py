"""`make bench-inference`: what `hypermol infer` costs per image, and in memory, as the images become more.

A run on few particles looks at sets of several sizes, their images streamed under a memory cap of a quarter of the
smallest stack. The cost per image and the peak of memory must not grow with the number of images. cpu_s holds the start
of the program, too; what one more image costs is the difference between sizes.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from hypermol.benchmarks.circumstances import ROOT, write_result
from hypermol.benchmarks.measure import hypermol, simulated
from hypermol.runs import Run

CAP = 0.25  # of the smallest stack's bytes
METHODS = {
    "ppca": ["z_dim=4"],
    "cryodrgn": ["volume.hidden=64", "volume.layers=2", "conformation.hidden=64", "z_dim=4", "epochs=3"],
}


def main(arguments: list[str] | None = None) -> None:
    """Simulate, train once per method, infer every size, write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[2000, 10_000])
    parser.add_argument("--box", type=int, default=32)
    parser.add_argument("--snr", type=float, default=0.1)
    parser.add_argument("--trained-on", type=int, default=1000)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--work", type=Path, default=ROOT / ".bench" / "inference")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "inference.json")
    chosen = parser.parse_args(arguments)
    sizes, box = sorted(chosen.sizes), chosen.box
    sets = {n: chosen.work / f"n{n}-d{box}" for n in (chosen.trained_on, *sizes)}
    for seed, (n, folder) in enumerate(sets.items()):
        simulated("hinge", folder, n, box, chosen.snr, seed)
    cap = CAP * (sets[sizes[0]] / "particles.mrcs").stat().st_size
    rows: list[dict[str, Any]] = []
    for method in chosen.methods:
        run = _trained(method, sets[chosen.trained_on], chosen)
        for turn in range(chosen.turns):
            rows += [{"method": method, "turn": turn, **_inferred(run, sets[n], n, cap, chosen)} for n in sizes]
            print(*rows[-len(sizes) :], sep="\n", flush=True)
    ratios = {method: _ratio([row for row in rows if row["method"] == method], sizes) for method in chosen.methods}
    problem = f"hinge, {box} px, SNR {chosen.snr:g}, trained on {chosen.trained_on}, memory cap {cap / 2**20:.1f} MiB"
    content = {"command": "make bench-inference", "problem": problem, "rows": rows, "largest_over_smallest": ratios}
    write_result(chosen.out, content)
    print(f"{ratios}; written: {chosen.out}")


def _trained(method: str, data: Path, chosen: argparse.Namespace) -> Path:
    folder = chosen.work / f"{method}-n{chosen.trained_on}-d{chosen.box}"
    if not (folder / "config.toml").exists() or not Run.open(folder).finished:
        shutil.rmtree(folder, ignore_errors=True)
        settings = [part for setting in METHODS[method] for part in ("--set", setting)]
        particles, device = data / "particles.star", ["--device", chosen.device]
        hypermol(["train", particles, "-m", method, "-o", folder, *settings, *device], folder.with_suffix(".log"))
    return folder


def _inferred(run: Path, data: Path, count: int, cap: float, chosen: argparse.Namespace) -> dict[str, Any]:
    out = chosen.work / f"{run.name}-inferred"
    shutil.rmtree(out, ignore_errors=True)
    more = ["--reference", "0", "--memory-gb", f"{cap / 2**30:.6f}", "--device", chosen.device]
    timed = hypermol(["infer", run, data / "particles.star", "-o", out, *more], out.with_suffix(".log"))
    done = next(row for row in Run.open(out).log() if row["event"] == "pass")
    return {
        "images": count,
        "ms_per_image": round(1e3 * done["seconds"] / count, 4),
        "cpu_s": round(timed.cpu, 2),
        "peak_memory_mib": round(timed.peak_mib),
    }


def _ratio(rows: list[dict[str, Any]], sizes: list[int]) -> dict[str, float]:
    """Medians over the turns, at the largest size over those at the smallest; and what one image more costs."""

    def median(size: int, name: str) -> float:
        return float(np.median([row[name] for row in rows if row["images"] == size]))

    ratios = {n: round(median(sizes[-1], n) / median(sizes[0], n), 3) for n in ("ms_per_image", "peak_memory_mib")}
    more = (median(sizes[-1], "cpu_s") - median(sizes[0], "cpu_s")) / (sizes[-1] - sizes[0])
    return {**ratios, "cpu_ms_per_further_image": round(1e3 * more, 4)}


if __name__ == "__main__":
    main()
