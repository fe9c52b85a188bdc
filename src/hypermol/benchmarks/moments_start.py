"""`make bench-moments`: does `abinitio` begin sooner or safer with the map of `moments` than at random?

homogeneous, 500 × 32 px, SNR 1, CTF, molecules centred; reconstructed ten times, by ten seeds, with the map of
`moments` (one start, timed too) as the reference of `abinitio`, with one random start, and with three, as `abinitio`
does by itself. And the gate of `moments`: 10,000 noiseless images from three preferred directions, their density known
or estimated, by second moments alone or with third ones, one start each. Goes on where it stopped.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hypermol.benchmarks.circumstances import ROOT, write_result
from hypermol.benchmarks.measure import Cost, free_folder, method_words, simulated, trained
from hypermol.imaging.so3_grid import directions
from hypermol.maps import align_maps, read_map
from hypermol.metrics import fsc, pose_scores
from hypermol.reconstruction import first_below
from hypermol.runs import Run
from hypermol.simulation import Recipe, Truth

AXES = "view_axes=[[0, 0, 1], [1, 0.3, 0.2], [0.2, -1, 0.5]]"
MOMENTS = "moments"
WAYS = (MOMENTS, "1 random", "3 random")
RIGHT_DEG = 10.0
"""A run whose median rotation is off by less has found the molecule."""
ALONE: dict[str, tuple[str, ...]] = {
    "density known": ("views=known",),
    "density estimated": (),
    "density known, second moments": ("views=known", "order=2"),
    "density estimated, second moments": ("order=2",),
}


def main(arguments: list[str] | None = None) -> None:
    """Simulate, reconstruct and compare, and write the result file after every run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("-n", type=int, default=500)
    parser.add_argument("--snr", type=float, default=1.0)
    parser.add_argument("--shifts", type=float, nargs="*", default=[0.0], help="largest shifts, pixels")
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=WAYS, help="how runs begin")
    parser.add_argument("--work", type=Path, default=ROOT / ".bench" / "moments")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "moments.json")
    chosen = parser.parse_args(arguments)
    content: dict[str, Any] = {"command": "make bench-moments", "alone": [], "starts": []}
    if chosen.out.exists():
        known = json.loads(chosen.out.read_text())
        content |= {name: known[name] for name in ("alone", "starts")}
    for words, settings in ALONE.items():
        if words not in [row["what"] for row in content["alone"]]:
            content["alone"].append({"what": words, **alone(chosen.work, settings)})
            said(content, content["alone"][-1], chosen.out)
    done = [(row["shift_px"], row["start"], row["seed"]) for row in content["starts"]]
    for shift, seed, way in itertools.product(chosen.shifts, range(chosen.seeds), chosen.ways):
        if (shift, way, seed) not in done:
            folder = chosen.work / f"n{chosen.n}-snr{chosen.snr:g}-shift{shift:g}"
            data = simulated("homogeneous", folder / "data", chosen.n, 32, chosen.snr, 0, [f"shift_px={shift:g}"])
            run, cost = started(data, folder, way, seed)
            row = {"shift_px": shift, "start": way, "seed": seed, **cost.row(), **compared(run, Truth.load(data))}
            content["starts"].append(row)
            said(content, row, chosen.out)
    print(f"written: {chosen.out}")


def said(content: dict[str, Any], row: dict[str, Any], out: Path) -> None:
    """Write what there is, and print the row that is new."""
    write_result(out, content)
    print(row, flush=True)


def alone(work: Path, settings: tuple[str, ...]) -> dict[str, Any]:
    """The map of ``moments`` beside the truth."""
    views = ["view_concentration=3", AXES, "ctf=false", "shift_px=0"]
    data = simulated("homogeneous", work / "views" / "data", 10_000, 32, float("inf"), 5, views)
    known = work / "views" / "density.npy"
    where = directions(4).double().numpy()
    density = Recipe.from_toml(data / "simulation.toml").view_density.density(where)
    np.save(known, np.concatenate([where, density[:, None]], 1))
    given = [word for part in settings for word in ("--set", part.replace("views=known", f"views={known}"))]
    folder = free_folder(work / "views" / "-".join(("moments", *settings)).replace("=", ""))
    cost = trained(folder, data / "particles.star", [*method_words("moments:starts=1", 0), *given])
    run = Run.open(folder)
    map_, truth = read_map(run.volumes / "consensus.mrc")[0], Truth.load(data).map(0).float()
    curve = fsc(align_maps(map_, truth).aligned, truth)
    return {**cost.row(), "misfit": run.metrics()["misfit"]["value"], "fsc": [round(float(v), 3) for v in curve[1:8]]}


def started(data: Path, folder: Path, way: str, seed: int) -> tuple[Run, Cost]:
    """One seed's run that began so, and what it cost with its beginning."""
    star, place = data / "particles.star", free_folder(folder / f"{way.replace(' ', '-')}-{seed}")
    if way != MOMENTS:
        cost = trained(place, star, method_words(f"abinitio:starts={way.split()[0]}", seed))
        return Run.open(place), cost
    first = trained(place, star, method_words("moments:starts=1", seed))
    reference = ["--set", f"reference={Run.open(place).volumes / 'consensus.mrc'}"]
    begun = free_folder(place.with_name(f"{place.name}-begun"))
    second = trained(begun, star, [*method_words("abinitio", seed), *reference])
    return Run.open(begun), first + second


def compared(run: Run, truth: Truth) -> dict[str, Any]:
    """Pose errors of a run, whether it found the molecule, and how far its map is right."""
    found, exact = run.estimates(), truth.map(0).float()
    scores = pose_scores(found["rotation"], truth.rotation, found["shift"], truth.shift, pixel_size=truth.pixel_size)
    median = float(np.median(scores.overall.rotation_deg))
    map_: torch.Tensor = align_maps(read_map(run.volumes / "consensus.mrc")[0], exact).aligned
    shell = first_below(fsc(map_, exact, truth.mask().float()), 0.5) - 1
    return {"median_rotation_deg": round(median, 3), "found": median < RIGHT_DEG, "shell_of_fsc_half": shell}


if __name__ == "__main__":
    main()
