"""`make bench-streaming`: a stack four times the memory cap trains about as fast as one in memory.

The same training, paired in one run: images kept in memory, and images streamed under a cap of a quarter of the stack.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from hypermol.benchmarks.circumstances import ROOT, write_result
from hypermol.benchmarks.measure import hypermol, simulated
from hypermol.runs import Run

CAP = 0.25  # of the stack's bytes


def main(arguments: list[str] | None = None) -> None:
    """Simulate, train both ways in turn, write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--particles", type=int, default=8000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--work", type=Path, default=ROOT / ".bench" / "streaming")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "streaming.json")
    chosen = parser.parse_args(arguments)
    data = chosen.work / f"n{chosen.particles}"
    simulated("hinge", data, chosen.particles, 64, 0.1, 0)
    stack = (data / "particles.mrcs").stat().st_size
    rows = []
    for turn in range(chosen.turns):
        for name, cap in (("in memory", None), ("streamed", CAP * stack)):
            rows.append({"name": name, "turn": turn, **_train(data, chosen.work / f"{name}-{turn}", cap)})
    ratios = [rows[i + 1]["images_per_second"] / rows[i]["images_per_second"] for i in range(0, len(rows), 2)]
    size_mib = f"{chosen.particles} x 64 px ({stack / 2**20:.0f} MiB)"
    problem = f"hinge, {size_mib}, cryodrgn 3x64, 2 passes, memory cap {CAP:g} of the stack"
    content = {"command": "make bench-streaming", "problem": problem, "rows": rows, "streamed_over_in_memory": ratios}
    write_result(chosen.out, content)
    print(f"images/s streamed over in memory: {', '.join(f'{ratio:.3f}' for ratio in ratios)}; written: {chosen.out}")


def _train(data: Path, out: Path, cap: float | None) -> dict[str, Any]:
    settings = ("epochs=2", "volume.hidden=64", "conformation.hidden=64", "batch_size=32")
    options = [part for setting in settings for part in ("--set", setting)]
    if cap is not None:
        options += ["--memory-gb", f"{cap / 2**30:.6f}"]
    name = 0
    while (folder := out.with_name(f"{out.name}-{name}")).exists():
        name += 1
    command: list[str | Path] = ["train", data / "particles.star", "-m", "cryodrgn", "-o", folder, *options]
    timed = hypermol(command, folder.with_suffix(".log"))
    passes = [row for row in Run.open(folder).log() if row["event"] == "pass" and row["phase"] == "train"]
    images = sum(row["images_per_second"] * row["seconds"] for row in passes)
    seconds = sum(row["seconds"] for row in passes)
    return {"images_per_second": round(images / seconds, 1), "peak_memory_mib": round(timed.peak_mib)}


if __name__ == "__main__":
    main()
