"""`make bench-many-images`: what an image costs an encoder of pose and z as the images become a million.

Images of two states (the ends of `hinge`, 90 and 10 %) are made up as they are asked for, so that nothing but the
program's own bookkeeping can grow. `cryofire` with voxel grids learns from half of them in its phase of poses, from all
of them with z, and reads pose and z of each; images_seen: in all of this. Every size runs as a program of its own. Rows
that are in the result file already are not run again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch

from hypermol.benchmarks.circumstances import ROOT, fill_rows
from hypermol.benchmarks.endless import EndlessImages
from hypermol.benchmarks.measure import measured, simulated
from hypermol.engine import Loop, MemoryStore
from hypermol.methods import configured, find_method
from hypermol.methods.context import build_context
from hypermol.simulation import Truth

SHARES = (0.9, 0.1)
SETTINGS: dict[str, Any] = {
    "volume": "voxels",
    "volume.step": 100,
    "z_dim": 2,
    "pose.channels": 8,
    "pose.shifts": False,
    "batch_size": 128,
    "learning_rate": 1e-3,
    "epochs": 1,
}


def main(arguments: list[str] | None = None) -> None:
    """Run the sizes that are not in the result file yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--box", type=int, default=16)
    parser.add_argument("--snr", type=float, default=1.0)
    parser.add_argument("--one", action="store_true", help="only the first size, here, and print its row")
    parser.add_argument("--work", type=Path, default=ROOT / ".bench" / "many-images")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "many-images.json")
    chosen = parser.parse_args(arguments)
    if chosen.one:
        print(json.dumps(_one_pass(chosen, chosen.sizes[0])))
        return
    common = {"box": chosen.box, "snr": chosen.snr}
    jobs = (({"particles": size, **common}, partial(_alone, chosen, size)) for size in chosen.sizes)
    fill_rows(chosen.out, "make bench-many-images", jobs)


def _alone(chosen: argparse.Namespace, size: int) -> dict[str, Any]:
    """The row of ``_one_pass``, made by a program of its own."""
    log = chosen.work / f"n{size}.log"
    log.unlink(missing_ok=True)
    again = [sys.executable, "-m", __spec__.name, "--one", "--sizes", size]
    more = ["--box", chosen.box, "--snr", chosen.snr, "--work", chosen.work]
    cost = measured([str(word) for word in (*again, *more)], log)
    return {**json.loads(log.read_text().splitlines()[-1]), "peak_memory_mib": round(cost.peak_mib)}


def _one_pass(chosen: argparse.Namespace, size: int) -> dict[str, Any]:
    """Processor and wall seconds of the whole program, and per image seen."""
    source = _source(chosen, size)
    method = configured(find_method("cryofire"), {**SETTINGS, "phases.0.images": size // 2})
    program = method.program(build_context(source, seed=0))
    store = MemoryStore()
    loop = Loop(program, source, store, seed=0, microbatch=method.microbatch)
    busy, began = time.process_time(), time.monotonic()
    state = loop.run()
    busy, wall = time.process_time() - busy, time.monotonic() - began
    seen = int(state.clock.images)
    return {
        "images_seen": seen,
        "cpu_seconds": round(busy, 1),
        "wall_seconds": round(wall, 1),
        "cpu_ms_per_image": round(1e3 * busy / seen, 4),
        "making_ms_per_image": round(_making(source), 4),
    }


def _making(source: EndlessImages, batches: int = 40) -> float:
    """Processor milliseconds of making an image up, which are part of those of seeing it."""
    groups = torch.arange(min(source.count, 128 * batches)).split(128)
    busy = time.process_time()
    for group in groups:
        source.load(group)
    return 1e3 * (time.process_time() - busy) / sum(len(group) for group in groups)


def _source(chosen: argparse.Namespace, size: int) -> EndlessImages:
    settings = ["levels=2", "shift_px=0"]
    truth = Truth.load(simulated("hinge", chosen.work / f"states-d{chosen.box}", 100, chosen.box, 1.0, 0, settings))
    maps = torch.stack([truth.map_of_state(state).float() for state in (0, 1)])
    return EndlessImages(maps, SHARES, size, truth.pixel_size, chosen.snr)


if __name__ == "__main__":
    main()
