"""`make bench-demo`: the demo over several seeds, its figures against the truth and its time."""

from __future__ import annotations

import argparse
from pathlib import Path

from hypermol.benchmarks.circumstances import ROOT, write_result
from hypermol.benchmarks.measure import hypermol
from hypermol.runs import Run


def main(arguments: list[str] | None = None) -> None:
    """Run `hypermol demo` once per seed and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--work", type=Path, default=ROOT / ".bench" / "demo")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "demo.json")
    chosen = parser.parse_args(arguments)
    rows = []
    for seed in chosen.seeds:
        folder = chosen.work / f"seed{seed}"
        timed = hypermol(["demo", "-o", folder, "--seed", str(seed)], chosen.work / f"seed{seed}.log")
        figures = {name: entry["value"] for name, entry in Run.open(folder / "run").metrics().items()}
        rows.append({"seed": seed, **timed.row(), "figures": figures})
        print(f"seed {seed}: {timed.wall:.0f} s")
    problem = "hinge, 5000 x 32 px, SNR 0.5, shifts up to 2 px, CTF, poses known"
    write_result(chosen.out, {"command": "make bench-demo", "problem": problem, "rows": rows})
    print(f"written: {chosen.out}")


if __name__ == "__main__":
    main()
