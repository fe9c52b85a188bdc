"""`make bench-known-poses`: our cryodrgn against cryoDRGN 4.3.1 train_vae, same work, paired in one run.

hinge, 10,000 × 64 px, SNR 0.1, networks 3×256, z 8, batch 16. Per seed first laps: each program in turn trains for a
minute on the same small set, which gives its speed. Then the long runs, which give accuracy and peak memory; their own
times are kept too, but hours apart a shared machine is not the same machine. Finished jobs are kept: an interrupted
benchmark goes on.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from hypermol.benchmarks.circumstances import ROOT, circumstances, write_result
from hypermol.benchmarks.known_poses.contestants import LONGER, OURS, PEER, train
from hypermol.benchmarks.known_poses.size import Size
from hypermol.benchmarks.known_poses.summary import summary
from hypermol.benchmarks.measure import free_folder, simulated
from hypermol.runs import Run, write_text
from hypermol.simulation import Truth

SEEDS = (0, 1, 2)
LONG = (PEER, "hypermol", "hypermol marching")
LAP_EPOCHS = 2


def main(arguments: list[str] | None = None) -> None:
    """Run what is missing and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for field in dataclasses.fields(Size):
        parser.add_argument(f"--{field.name}", type=int, default=field.default)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--long", nargs="*", default=list(LONG), help="programs of the long runs; none for laps only")
    parser.add_argument("--work", type=Path, default=ROOT / ".bench" / "known-poses")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "known-poses.json")
    chosen = parser.parse_args(arguments)
    size = Size(*(getattr(chosen, field.name) for field in dataclasses.fields(Size)))
    laps, runs = [], []
    for seed in chosen.seeds:
        folder = chosen.work / f"{size.label}-seed{seed}"
        laps += [
            _once(folder / f"lap-{_slug(name)}.json", name, partial(_lap, name, folder, size, seed))
            for name in (PEER, *OURS)
        ]
    for seed in chosen.seeds:
        folder = chosen.work / f"{size.label}-seed{seed}"
        for name in chosen.long:
            runs.append(_once(folder / f"{_slug(name)}.json", name, partial(_long, name, folder, size, seed)))
        problem = "hinge, SNR 0.1, poses known; three layers, z 8, batch 16"
        content = {"command": "make bench-known-poses", "problem": problem, "size": dataclasses.asdict(size)}
        write_result(chosen.out, {**content, "summary": summary(laps, runs), "laps": laps, "runs": runs})
    print(json.dumps(summary(laps, runs), indent=1), f"\nwritten: {chosen.out}")


def _slug(name: str) -> str:
    return name.replace(" ", "-")


def _once(path: Path, name: str, job: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The job's saved figures, or run it and save them: also where they were saved under other settings."""
    settings = {**OURS.get(name, {}), "longer": LONGER.get(name, 1)}
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text())
        if found.get("settings") == settings:
            return found
    path.parent.mkdir(parents=True, exist_ok=True)
    print(f"running {path.parent.name}/{path.stem} …", flush=True)
    row = {"settings": settings, "commit": circumstances()["commit"], **job()}
    write_text(path, json.dumps(row, indent=1))
    return row


def _lap(name: str, folder: Path, size: Size, seed: int) -> dict[str, Any]:
    data = simulated("hinge", folder / "lap-data", min(size.lap, size.particles), size.box, 0.1, seed)
    trained = train(name, data, free_folder(folder / f"lap-{_slug(name)}"), size, LAP_EPOCHS, seed)
    images = Truth.load(data).count * len(trained.epoch_seconds)
    return {
        "name": name,
        "seed": seed,
        **trained.notes,
        "images_per_second": round(images / max(sum(trained.epoch_seconds), 1e-9), 2),
        "cpu_seconds": round(trained.timed.cpu, 1),
    }


def _long(name: str, folder: Path, size: Size, seed: int) -> dict[str, Any]:
    data = simulated("hinge", folder / "data", size.particles, size.box, 0.1, seed)
    epochs = round(size.epochs * LONGER.get(name, 1))
    out = folder / _slug(name)
    if not (name != PEER and _unfinished(out)):
        out = free_folder(out)
    write_text(_begun(out), str(circumstances()["commit"]))
    trained = train(name, data, out, size, epochs, seed)
    return {
        "name": name,
        "seed": seed,
        **trained.notes,
        "epochs": len(trained.epoch_seconds),
        "training_seconds": round(sum(trained.epoch_seconds), 1),
        "whole_process_wall_seconds": round(trained.timed.wall, 1),
        "whole_process_cpu_seconds": round(trained.timed.cpu, 1),
        "peak_memory_mib": round(trained.timed.peak_mib),
        **_accuracy(Truth.load(data), size.compared, trained.maps),
    }


def _unfinished(out: Path) -> bool:
    """Whether this very version of the program left a run there to be gone on with."""
    here, begun = circumstances()["commit"], _begun(out)
    same = begun.exists() and begun.read_text() == here
    return same and (out / "config.toml").exists() and not Run.open(out).finished


def _begun(out: Path) -> Path:
    return out.with_name(f"{out.name}.commit")


def _accuracy(truth: Truth, compared: int, maps: Callable[[np.ndarray], Iterator[Tensor]]) -> dict[str, Any]:
    """Per-image FSC (mean over shells, one truth-derived mask), and that of the noise-free mean map."""
    from hypermol.metrics import fsc_mean
    from hypermol.simulation import AT_Z, MEAN, WHOLE, map_curves

    chosen = truth.sample(compared)
    curves = map_curves(truth, chosen, maps(chosen), {MEAN: truth.mean_map()}, {WHOLE: truth.mask().float()})[WHOLE]
    found, consensus = (fsc_mean(curves[name]).double().numpy() for name in (AT_Z, MEAN))
    figures = {"per_image_fsc": float(found.mean()), "per_image_fsc_std": float(found.std())}
    return {**figures, "per_image_fsc_of_noise_free_mean": float(consensus.mean())}


if __name__ == "__main__":
    main()
