"""`make bench-pose-search`: what one global search of a pose costs, and what it misses.

homogeneous, SNR 0.1, CTF, shifts up to ±5 px, the map known; 64 px with all shells, 128 px with 32. The search ends at
0.94° (HEALPix order 6, directions 0.92° apart), shifts climb. Time: processor and wall seconds per image of one call,
with the threads of this process. Floor: per candidate and image point 64 bytes of the grid (eight corners), and the
products of the coarsest level. What it misses: its likelihood beside an exhaustive search of the final grid
(``exhaustive_search``), 50 images. Beside it cryoDRGN's own search of 64 images, in its own environment.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import torch

from hypermol.benchmarks import cryodrgn_search
from hypermol.benchmarks.circumstances import ROOT, circumstances, write_result
from hypermol.benchmarks.exhaustive_search import exhaustive_search
from hypermol.benchmarks.measure import simulated
from hypermol.benchmarks.outside import find_cryodrgn
from hypermol.imaging import so3_grid
from hypermol.kernels import volume_to_grid
from hypermol.particles import ImageSource, read_particles
from hypermol.poses import ScoredImages, SearchLevels, search_poses, shift_grid, shift_step
from hypermol.simulation import Truth

SIZES = {64: None, 128: 32}
"""Boxes, and the shells that are compared in each (None: all)."""
PARTS = ("time", "cryodrgn", "exhaustive")
CORNER_BYTES = 64
EQUAL = 0.01
"""Nats by which a likelihood may be lower and still count as no worse: rounding of single precision."""


def main(arguments: list[str] | None = None) -> None:
    """Time, compare, and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=512, help="timed")
    parser.add_argument("--exhaustive", type=int, default=50, help="images compared with an exhaustive search")
    parser.add_argument("--peer-images", type=int, default=64, help="images searched by cryoDRGN")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS, help="the others stay as they were")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=ROOT / ".bench" / "pose-search")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "pose-search.json")
    chosen = parser.parse_args(arguments)
    problem = "homogeneous, SNR 0.1, CTF, shifts up to 5 px; the true map"
    content: dict[str, Any] = {"command": "make bench-pose-search", "problem": problem, "images": chosen.images}
    if chosen.out.exists():
        known = json.loads(chosen.out.read_text())
        content |= {part: known[part] for part in PARTS if part in known}
    for part in chosen.parts:
        if part == "time":
            rows = [_timed(chosen.work, box, band, chosen.images, chosen.seed) for box, band in SIZES.items()]
            found: dict[str, Any] = {"threads": torch.get_num_threads(), "rows": rows}
        elif part == "cryodrgn":
            found = _peer(_data(chosen.work, 64, chosen.images, chosen.seed), chosen.peer_images)
        else:
            found = _compared(chosen.work, chosen.images, chosen.exhaustive, chosen.seed)
        content[part] = {"commit": circumstances()["commit"], **found}
        write_result(chosen.out, content)
    print(f"written: {chosen.out}")


def _data(work: Path, box: int, count: int, seed: int) -> Path:
    return simulated("homogeneous", work / f"n{count}-d{box}", count, box, 0.1, seed, ["shift_px=5", "ctf=true"])


def _problem(work: Path, box: int, count: int, seed: int) -> tuple[ScoredImages, torch.Tensor]:
    data = _data(work, box, count, seed)
    source = ImageSource(read_particles(data / "particles.star"))
    images = ScoredImages.of(next(iter(source.stream([torch.arange(count)]))))
    return images, volume_to_grid(Truth.load(data).map(0).float())


def _timed(work: Path, box: int, band: int | None, count: int, seed: int) -> dict[str, Any]:
    images, grid = _problem(work, box, count, seed)
    levels = SearchLevels(band_limit=band, shift_range=5.12 / box)
    search_poses(images.take(torch.arange(2)), grid, levels)  # compiled, and the grids of rotations made
    wall, cpu = time.perf_counter(), time.process_time()
    search_poses(images, grid, levels)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    row: dict[str, Any] = {"box": box, "shells": levels.band(levels.last_order, images.lattice.band_limit)}
    row |= {"wall_ms_per_image": round(1e3 * wall / count, 3), "cpu_ms_per_image": round(1e3 * cpu / count, 3)}
    row |= _floor(images, levels)
    print(row, flush=True)
    return row


def _floor(images: ScoredImages, levels: SearchLevels) -> dict[str, Any]:
    """What no search of these levels can do without, per image."""
    largest, points = images.lattice.band_limit, 0
    for order in range(levels.first_order + 1, levels.last_order + 1):
        points += 8 * levels.kept_after(order - 1) * images.lattice.count(levels.band(order, largest))
    first = images.lattice.count(levels.band(levels.first_order, largest))
    box, band = images.lattice.box, levels.band(levels.first_order, largest)
    shifts = len(shift_grid(levels.shift_range * box, shift_step(band, box), images.weight))
    products = 4 * len(so3_grid(levels.first_order)) * shifts * first
    return {"corner_bytes_per_image": CORNER_BYTES * points, "coarse_operations_per_image": products}


def _compared(work: Path, count: int, compared: int, seed: int) -> dict[str, Any]:
    images, grid = _problem(work, 64, count, seed)
    images, levels = images.take(torch.arange(compared)), SearchLevels()
    found = search_poses(images, grid, levels)
    ours = images.log_likelihood(grid, found.rotation, found.shift_px)[0].amax(1)
    told = [0.0]

    def progress(done: int, total: int) -> None:
        if time.monotonic() - told[0] > 30:
            told[0] = time.monotonic()
            print(f"exhaustive search: {done} of {total} directions", flush=True)

    best = exhaustive_search(images, grid, levels.last_order, 5, progress=progress)
    lead = (ours - best).tolist()
    share = sum(one > -EQUAL for one in lead) / compared
    print(f"no worse than exhaustive: {share:.0%}")
    return {"images": compared, "no_worse_share": share, "nats_above_exhaustive": [round(one, 3) for one in lead]}


def _peer(data: Path, count: int) -> dict[str, Any]:
    python = find_cryodrgn() / "python"
    script = Path(cryodrgn_search.__file__)
    done = subprocess.run(
        [str(python), str(script), str(data / "particles.star"), str(count), "256"],
        capture_output=True,
        text=True,
        check=True,
    )
    cpu, wall = map(float, done.stdout.split()[-2:])
    return {"version": "4.3.1", "images": count, "network": "3x256", "cpu_s_per_image": cpu, "wall_s_per_image": wall}


if __name__ == "__main__":
    main()
