"""`make bench-fast-engine`: what `hypermol train` finds on the hinge unless told otherwise, over several seeds.

hinge, 10,000 × 64 px, SNR 0.1, poses known. Wanted: gain in the moving domain ≥ 0.93 and FSC of the whole map ≥ 0.72
at once, in at most 60 s of wall time on two cores (training; the maps of ``--particles`` particles are timed apart).
The first seed is trained once more before, with no compiled kernels at hand ("cold"), as on the first day; all runs
after it use what that one compiled.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from hypermol.benchmarks.circumstances import ROOT, write_result
from hypermol.benchmarks.measure import Cost, free_folder, hypermol, simulated
from hypermol.runs import Run


def main(arguments: list[str] | None = None) -> None:
    """Simulate, train and evaluate once per seed, and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--method", default="auto")
    parser.add_argument("-n", type=int, default=10_000)
    parser.add_argument("--box", type=int, default=64)
    parser.add_argument("--particles", type=int, default=100, help="Compared with their own true maps.")
    parser.add_argument("--work", type=Path, default=ROOT / ".bench" / "fast-engine")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "fast-engine.json")
    chosen = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = []
    kernels = {"NUMBA_CACHE_DIR": str(free_folder(chosen.work / "kernels"))}
    for seed in chosen.seeds:
        folder = chosen.work / f"n{chosen.n}-d{chosen.box}-seed{seed}"
        data, run = folder / "data", free_folder(folder / chosen.method)
        simulated("hinge", data, chosen.n, chosen.box, 0.1, seed)
        if not rows:
            cold = _trained(data, chosen.method, free_folder(folder / f"{chosen.method}-cold"), kernels)
            print(f"seed {seed}, cold: {cold.wall:.0f} s of training", flush=True)
        trained = _trained(data, chosen.method, run, kernels)
        print(f"seed {seed}, warm: {trained.wall:.0f} s of training", flush=True)
        scored = hypermol(
            ["evaluate", run, "--truth", data, "--particles", str(chosen.particles)], run.with_suffix(".log")
        )
        figures = {name: entry["value"] for name, entry in Run.open(run).metrics().items()}
        cost = {f"training_{name}": value for name, value in trained.row().items()}
        rows.append({"seed": seed, **cost, "evaluation_cpu_seconds": round(scored.cpu, 1), "figures": figures})
    problem = f"hinge, {chosen.n} x {chosen.box} px, SNR 0.1, CTF, poses known; {chosen.particles} particles compared"
    command = f"python -m hypermol.benchmarks.fast_engine --particles {chosen.particles}"
    content = {"command": command, "problem": problem, "method": chosen.method, "rows": rows}
    write_result(chosen.out, {**content, "training with kernels compiled on the way": cold.row()})
    print(f"written: {chosen.out}")


def _trained(data: Path, method: str, run: Path, kernels: dict[str, str]) -> Cost:
    arguments: list[str | Path] = ["train", data / "particles.star", "-m", method, "-o", run]
    return hypermol(arguments, run.with_suffix(".log"), environment=kernels)


if __name__ == "__main__":
    main()
