"""`make bench-hybrid`: the search near an encoder's answers beside the full search, on the same images and map.

Wanted: the median error of the full search to 10 %, in at most a third of its time. Hypotheses are those of a trained
encoder (--run: a finished run of cryoai, looking at particles of --data that it has not seen; its own time counts; both
searches are against the run's own map, and each is scored after one alignment of all poses), and, to say how good an
encoder must be, true poses turned by an angle of a given median about a random axis and moved by half a pixel
("stand-in", which no encoder has computed). Half of the hypotheses are a half turn away in the image, as the copies of
the symmetrised loss are. Their map is the back projection of other particles at their true poses, in the frame of the
truth. seconds: of the processor.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.benchmarks.circumstances import ROOT, write_result
from hypermol.benchmarks.measure import simulated
from hypermol.imaging import geodesic_angle_deg, rotvec_to_matrix, spacing_deg
from hypermol.kernels import volume_to_grid
from hypermol.methods import rebuild, trained_encoder
from hypermol.metrics import pose_scores
from hypermol.particles import ImageSource, read_particles
from hypermol.poses import ScoredImages, SearchLevels, refine_poses, search_near, search_poses
from hypermol.reconstruction.consensus import consensus
from hypermol.runs import Run
from hypermol.simulation import Truth

BATCH, ROUNDS, KEPT = 500, 2, (24, 12, 6, 3)
Poses = tuple[Tensor, Tensor]
Find = Callable[[ScoredImages, int], Poses]
"""From some images and the place of the first, their poses."""


def main(arguments: list[str] | None = None) -> None:
    """Simulate, search both ways, write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=500)
    parser.add_argument("--box", type=int, default=32)
    parser.add_argument("--snr", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--errors-deg", type=float, nargs="*", default=[5.0, 10.0, 20.0, 30.0])
    parser.add_argument("--run", type=Path, help="a finished run with an encoder, whose answers are used as well")
    parser.add_argument("--data", type=Path, help="simulated images that it has not seen (default: simulated here)")
    parser.add_argument("--work", type=Path, default=ROOT / ".bench" / "hybrid")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "hybrid.json")
    chosen = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = json.loads(chosen.out.read_text())["rows"] if chosen.out.exists() else []
    for seed in chosen.seeds:
        fresh = _rows(chosen, seed)
        made = {(row["seed"], row["name"]) for row in fresh}
        rows = [row for row in rows if (row["seed"], row["name"]) not in made] + fresh
        write_result(chosen.out, {"command": "make bench-hybrid", "rows": rows})
    print(f"written: {chosen.out}")


def _rows(chosen: argparse.Namespace, seed: int) -> list[dict[str, Any]]:
    data = chosen.data or simulated(
        "homogeneous", chosen.work / f"n{chosen.n}-d{chosen.box}-snr{chosen.snr:g}-s{seed}",
        chosen.n, chosen.box, chosen.snr, seed,
    )  # fmt: skip
    source, truth = ImageSource(read_particles(data / "particles.star")), Truth.load(data)
    batches = [source.load(part) for part in torch.arange(min(chosen.n, source.count)).split(BATCH)]
    known = _tensor(truth.rotation, chosen.n), _tensor(truth.shift, chosen.n)
    band, label = source.box // 2 - 1, {"seed": seed, "images": min(chosen.n, source.count), "box": source.box}

    def full(grid: Tensor) -> Find:
        def find(images: ScoredImages, start: int) -> Poses:
            levels = SearchLevels.up_to(band, SearchLevels.shift_range, KEPT)
            rotation, shift, _ = search_poses(images, grid, levels).first
            step = spacing_deg(levels.last_order) / 2
            return refine_poses(images, grid, rotation, shift, step, ROUNDS)[:2]

        return find

    def as_they_are(found: Tensor) -> Tensor:
        return geodesic_angle_deg(found, known[0])

    def aligned(found: Tensor) -> Tensor:
        return torch.from_numpy(pose_scores(found.numpy(), known[0].numpy()).overall.rotation_deg)

    if chosen.run is None:
        grid = volume_to_grid(_map(chosen, seed))
        rows = [{**label, "name": "full search", **_measured(full(grid), batches, as_they_are)}]
        for error in chosen.errors_deg:
            begin = _turned(known, error, seed, source.pixel_size)
            found = _measured(_near(begin, grid), batches, as_they_are)
            rows.append({**label, "name": f"near, stand-in {error:g}°", **found})
    else:
        encoder = trained_encoder(Run.open(chosen.run))
        own = volume_to_grid(rebuild(Run.open(chosen.run)).decode(None)[0].float())
        rows = [{**label, "name": "full search, a run's map", **_measured(full(own), batches, aligned)}]
        encoder.answers(batches[0].take(torch.arange(4)))
        began, busy = time.monotonic(), time.process_time()
        said = [encoder.answers(batch) for batch in batches]
        waited, spent = time.monotonic() - began, time.process_time() - busy
        moved = torch.cat([s.shift for s in said if s.shift is not None]) / source.pixel_size
        begin = torch.cat([s.rotation for s in said if s.rotation is not None]), moved
        found = _measured(_near(begin, own), batches, aligned)
        found |= {name: round(found[name] + more, 2) for name, more in (("seconds", spent), ("wall_s", waited))}
        found["encoder_seconds"] = round(spent, 2)
        likeliest = torch.cat([encoder.look(batch)["rotation"] for batch in batches])
        found["encoder_median_deg"] = round(float(aligned(likeliest).median()), 3)
        rows.append({**label, "name": "near, the run's encoder", **found})
    for row in rows:
        row["time_over_full"] = round(row["seconds"] / rows[0]["seconds"], 3)
        row["error_over_full"] = round(row["median_deg"] / rows[0]["median_deg"], 3)
        print(row, flush=True)
    return rows


def _tensor(values: np.ndarray, count: int) -> Tensor:
    return torch.from_numpy(np.asarray(values)).float()[:count]


def _map(chosen: argparse.Namespace, seed: int) -> Tensor:
    """Of particles that are not searched for."""
    folder = chosen.work / f"map-d{chosen.box}-snr{chosen.snr:g}-s{seed}"
    simulated("homogeneous", folder, 4 * chosen.n, chosen.box, chosen.snr, 1000 + seed)
    found = consensus(ImageSource(read_particles(folder / "particles.star")))
    return (found.map * found.mask).float()


def _turned(known: Poses, median_deg: float, seed: int, pixel_size: float) -> Poses:
    """Two hypotheses per particle: rotation [N, 2, 3, 3], shift [N, 2, 2] in pixels; the second a half turn away."""
    draw = torch.Generator().manual_seed(seed)
    rotation, shift = known
    vector = torch.randn(len(rotation), 3, generator=draw)
    vector = vector * (math.radians(median_deg) / vector.norm(dim=1).median())
    near, moved = (
        rotvec_to_matrix(vector) @ rotation,
        shift / pixel_size + 0.5 * torch.randn(shift.shape, generator=draw),
    )
    turn = torch.diag(torch.tensor([-1.0, -1.0, 1.0]))
    return torch.stack([near, turn @ near], 1), torch.stack([moved, -moved], 1)


def _near(begin: Poses, grid: Tensor) -> Find:
    def near(images: ScoredImages, start: int) -> Poses:
        rows = slice(start, start + len(images.weight))
        return search_near(images, grid, begin[0][rows], begin[1][rows])[:2]

    return near


def _measured(find: Find, batches: list[Any], errors_of: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    """Seconds after a first batch that compiles what there is to compile; errors of rotation, degrees."""
    find(ScoredImages.of(batches[0].take(torch.arange(4))), 0)
    found, start, began, busy = [], 0, time.monotonic(), time.process_time()
    for batch in batches:
        found.append(find(ScoredImages.of(batch), start)[0])
        start += batch.size
    error = errors_of(torch.cat(found).float())
    return {
        "seconds": round(time.process_time() - busy, 2),
        "wall_s": round(time.monotonic() - began, 2),
        "median_deg": round(float(error.median()), 3),
        "within_10_deg": round(float((error < 10).float().mean()), 3),
    }


if __name__ == "__main__":
    main()
