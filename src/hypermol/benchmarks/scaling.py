"""`make bench-scaling`: how the cost of the fast engine grows with the number of particles and with the box.

hinge, SNR 0.1, poses known; `hypermol train -m ppca` with three components, so that every run does the same passes
(how far the band grows in them is what the halves agree on, as for any user). The first run is made twice, since it may
find its kernels uncompiled.
Particles: 64 px, 2,500 to 20,000. Box: 2,500 particles, 32 to 128 px, the molecule as large in Å. Wanted: linear in the
particles, and as D³ in the box. Processor seconds of the whole process, start-up and compiled kernels' loading counted.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hypermol.benchmarks.circumstances import ROOT, write_result
from hypermol.benchmarks.measure import free_folder, hypermol, simulated

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COUNTS, BOX = (2500, 5000, 10_000, 20_000), 64
BOXES, COUNT = (32, 48, 64, 96, 128), 2500
SAME_WORK = ("choose=false", "z_dim=3")


def main(arguments: list[str] | None = None) -> None:
    """Measure each size, write the result file and draw the curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=list(COUNTS))
    parser.add_argument("--boxes", type=int, nargs="+", default=list(BOXES))
    parser.add_argument("--work", type=Path, default=ROOT / ".bench" / "scaling")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "scaling.json")
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "figures" / "scaling.png")
    chosen = parser.parse_args(arguments)
    sizes = dict.fromkeys([(count, BOX) for count in chosen.counts] + [(COUNT, box) for box in chosen.boxes])
    count, box = min(sizes)
    _measured(chosen.work / f"n{count}-d{box}", count, box)
    rows = [_measured(chosen.work / f"n{count}-d{box}", count, box) for count, box in sorted(sizes)]
    by_count = [row for row in rows if row["box"] == BOX]
    by_box = [row for row in rows if row["particles"] == COUNT]
    exponents = {"particles": exponent(by_count, "particles"), "box": exponent(by_box, "box")}
    problem = "hinge, SNR 0.1, CTF, poses known; ppca, three components, same passes"
    content = {"command": "make bench-scaling", "problem": problem, "exponents": exponents, "rows": rows}
    write_result(chosen.out, content)
    picture(by_count, by_box).savefig(chosen.picture, dpi=110)
    print(f"processor seconds grow as particles^{exponents['particles']:.2f} and box^{exponents['box']:.2f}")
    print(f"written: {chosen.out}, {chosen.picture}")


def _measured(folder: Path, count: int, box: int) -> dict[str, Any]:
    data, run = folder / "data", free_folder(folder / "run")
    simulated("hinge", data, count, box, 0.1, 0)
    settings = [part for setting in SAME_WORK for part in ("--set", setting)]
    cost = hypermol(["train", data / "particles.star", "-m", "ppca", "-o", run, *settings], folder / "run.log")
    print(f"{count} x {box} px: {cost.cpu:.1f} s of processor time, {cost.peak_mib:.0f} MiB", flush=True)
    return {"particles": count, "box": box, **cost.row()}


def exponent(rows: list[dict[str, Any]], along: str) -> float:
    """Slope of log processor seconds over the log of a size, by least squares over the three largest sizes: at the
    small end the start of the program counts. NaN where there is one size."""
    used = sorted(rows, key=lambda row: row[along])[-3:]
    if len(used) < 2:
        return float("nan")
    size, seconds = (np.log([row[name] for row in used]) for name in (along, "cpu_seconds"))
    return round(float(np.polyfit(size, seconds, 1)[0]), 3)


def picture(by_count: list[dict[str, Any]], by_box: list[dict[str, Any]]) -> Figure:
    """Processor seconds and peak memory over both sizes, with the slopes that are wanted through the last point."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    panels = ((by_count, "particles", 1, f"{BOX} px"), (by_box, "box", 3, f"{COUNT:,} particles"))
    for number, (rows, along, slope, title) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, 2, number)
        size = np.array([row[along] for row in rows], float)
        seconds, memory = (np.array([row[name] for row in rows], float) for name in ("cpu_seconds", "peak_memory_mib"))
        law = f"{along}{'³' if slope == 3 else ''}"
        axes.plot(size, seconds[-1] * (size / size[-1]) ** slope, color="#9aa5ad", linestyle="--", label=f"as {law}")
        axes.plot(size, seconds, "o-", color="#0b6e99", label="processor seconds")
        axes.plot(size, memory / 1024, "s-", color="#b5651d", label="peak memory, GiB")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(size, [f"{value:,.0f}" for value in size])
        axes.minorticks_off()
        axes.set_xlabel("particles" if along == "particles" else "box (px)")
        axes.set_title(title, fontsize=10)
        axes.grid(visible=True, color="#e5e9ec", linewidth=0.8)
        axes.legend(frameon=False, fontsize=9)
    return figure


if __name__ == "__main__":
    main()
