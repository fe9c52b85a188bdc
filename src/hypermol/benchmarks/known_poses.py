"""`make bench-known-poses`: our cryodrgn against cryoDRGN 4.3.1 train_vae, same work, paired in one run.

hinge, 10,000 × 64 px, SNR 0.1, networks 3×256, z 8, batch 16. Per seed: the peer, ours (float32, and the precision that
`auto` takes), and ours with band-limit marching. Each job's figures are kept, so that an interrupted benchmark goes on.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hypermol.benchmarks.circumstances import ROOT, write_result
from hypermol.benchmarks.outside import Timed, find_cryodrgn, run_timed
from hypermol.runs import Run, write_text
from hypermol.simulation import Truth

SEEDS = (0, 1, 2)
OURS: dict[str, dict[str, Any]] = {
    "hypermol float32": {"precision": "float32"},
    "hypermol": {},
    "hypermol marching": {"phases.0.march_start": 0.25},
}
PEER = "cryodrgn 4.3.1"


@dataclasses.dataclass(frozen=True)
class Size:
    """How large the race is. ``hidden``: units of each layer of both networks; ``compared``: particles whose maps are
    held against their own."""

    particles: int = 10_000
    box: int = 64
    epochs: int = 10
    hidden: int = 256
    compared: int = 100

    @property
    def label(self) -> str:
        """The folder name of a race of this size."""
        return f"n{self.particles}-d{self.box}-e{self.epochs}-h{self.hidden}"


def main(arguments: list[str] | None = None) -> None:
    """Run what is missing and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for field in dataclasses.fields(Size):
        parser.add_argument(f"--{field.name}", type=int, default=field.default)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--work", type=Path, default=ROOT / ".bench" / "known-poses")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "known-poses.json")
    chosen = parser.parse_args(arguments)
    size = Size(*(getattr(chosen, field.name) for field in dataclasses.fields(Size)))
    rows = []
    for seed in chosen.seeds:
        folder = chosen.work / f"{size.label}-seed{seed}"
        _once(folder / "data.json", partial(_simulate, folder, size, seed))
        rows.append(_once(folder / "peer.json", partial(_peer, folder, size, seed)))
        for name, settings in OURS.items():
            job = folder / f"{name.replace(' ', '-')}.json"
            rows.append(_once(job, partial(_ours, folder, name, settings, size, seed)))
        problem = "hinge, SNR 0.1, poses known; three layers, z 8, batch 16"
        content = {"command": "make bench-known-poses", "problem": problem, "size": dataclasses.asdict(size)}
        write_result(chosen.out, {**content, "rows": rows})
    print(f"written: {chosen.out}")


def _once(path: Path, job: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The job's saved figures, or run it and save them."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        print(f"running {path.parent.name}/{path.stem} …", flush=True)
        write_text(path, json.dumps(job(), indent=1))
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _simulate(folder: Path, size: Size, seed: int) -> dict[str, Any]:
    options = f"-n {size.particles} --box {size.box} --snr 0.1 --seed {seed}"
    _hypermol(["simulate", "hinge", "-o", folder / "data", *options.split()], folder / "data.log")
    chosen = np.random.default_rng(0).choice(size.particles, min(size.compared, size.particles), replace=False)
    return {"seed": seed, "compared": sorted(chosen.tolist())}


def _peer(folder: Path, size: Size, seed: int) -> dict[str, Any]:
    programs, data = find_cryodrgn(), folder / "data" / "particles.star"
    poses, ctf, out = folder / "pose.pkl", folder / "ctf.pkl", folder / "peer"
    run_timed([programs / "cryodrgn", "parse_pose_star", data, "-o", poses], folder / "parse-pose.log")
    run_timed([programs / "cryodrgn", "parse_ctf_star", data, "-o", ctf], folder / "parse-ctf.log")
    # bright particles are right as they are: its CTF is negative at low k, and its default inversion meets that
    options = f"--zdim 8 -n {size.epochs} -b 16 --seed {seed} --enc-dim {size.hidden} --dec-dim {size.hidden}"
    files: list[str | Path] = [data, "-o", out, "--poses", poses, "--ctf", ctf, "--no-analysis"]
    layers = ["--enc-layers", "3", "--dec-layers", "3"]
    command = [programs / "cryodrgn", "train_vae", *files, *options.split(), *layers]
    timed = run_timed(command, folder / "peer.log")
    seconds = _peer_epoch_seconds(timed.output)
    maps = _peer_maps(programs, folder, out)
    return {"name": PEER, "seed": seed, **_cost(timed, seconds, folder), **_accuracy(folder, maps)}


def _peer_epoch_seconds(output: str) -> list[float]:
    """From lines such as "Finished in 0:04:31.2" of its log, one per epoch."""
    found = re.findall(r"Epoch: *\d+ .*Finished in (\d+):(\d+):([\d.]+)", output)
    return [3600 * int(h) + 60 * int(m) + float(s) for h, m, s in found]


def _peer_maps(programs: Path, folder: Path, out: Path) -> Callable[[int], Any]:
    from hypermol.maps import read_map
    from hypermol.particles.cryodrgn import read_arrays

    last = _last_epoch(out)
    z = np.asarray(read_arrays(out / f"z.{last}.pkl")[0])[_compared(folder)]
    np.savetxt(folder / "z.txt", z)
    maps = folder / "peer-maps"
    arguments: list[str | Path] = ["-c", out / "config.yaml", "-o", maps, "--zfile", folder / "z.txt"]
    run_timed([programs / "cryodrgn", "eval_vol", out / f"weights.{last}.pkl", *arguments], folder / "eval.log")
    files = sorted(maps.glob("*.mrc"))
    return lambda place: read_map(files[place])[0]


def _last_epoch(out: Path) -> int:
    return max(int(path.name.split(".")[1]) for path in out.glob("weights.*.pkl"))


def _ours(folder: Path, name: str, settings: dict[str, Any], size: Size, seed: int) -> dict[str, Any]:
    from hypermol.methods import rebuild

    out = folder / name.replace(" ", "-")
    layers = {"volume.hidden": size.hidden, "conformation.hidden": size.hidden}
    given = {"epochs": size.epochs, "seed": seed, **layers, **settings}
    options = [part for key, value in given.items() for part in ("--set", f"{key}={value}")]
    timed = _hypermol(
        ["train", folder / "data" / "particles.star", "-m", "cryodrgn", "-o", out, *options], out.with_suffix(".log")
    )
    run = Run.open(out)
    seconds = [row["seconds"] for row in run.log() if row["event"] == "pass" and row["phase"] == "train"]
    trained, compared = rebuild(run), _compared(folder)
    precision = run.config["method"]["precision"]
    accuracy = _accuracy(folder, lambda place: trained.map_of(int(compared[place])))
    row = {"name": name, "seed": seed, "precision": precision}
    return {**row, **_cost(timed, seconds, folder), **accuracy}


def _hypermol(arguments: list[str | Path], log: Path) -> Timed:
    return run_timed([sys.executable, "-m", "hypermol", *arguments], log)


def _cost(timed: Timed, epoch_seconds: list[float], folder: Path) -> dict[str, Any]:
    count = Truth.load(folder / "data").count
    return {
        "images_per_second": round(count * len(epoch_seconds) / max(sum(epoch_seconds), 1e-9), 2),
        "training_seconds": round(sum(epoch_seconds), 1),
        "whole_process_wall_seconds": round(timed.wall, 1),
        "whole_process_cpu_seconds": round(timed.cpu, 1),
        "peak_memory_mib": round(timed.peak_mib),
    }


def _compared(folder: Path) -> np.ndarray:
    return np.array(json.loads((folder / "data.json").read_text())["compared"])


def _accuracy(folder: Path, map_of: Callable[[int], Any]) -> dict[str, Any]:
    """Per-image FSC (mean over shells, one truth-derived mask), and that of the noise-free mean map."""
    from hypermol.metrics import fsc, fsc_mean

    truth = Truth.load(folder / "data")
    mask, mean = truth.mask().float(), truth.mean_map().float()
    found, consensus = [], []
    for place, particle in enumerate(_compared(folder)):
        exact = truth.map(int(particle)).float()
        found.append(float(fsc_mean(fsc(map_of(place).float(), exact, mask))))
        consensus.append(float(fsc_mean(fsc(mean, exact, mask))))
    figures = {"per_image_fsc": float(np.mean(found)), "per_image_fsc_std": float(np.std(found))}
    return {**figures, "per_image_fsc_of_noise_free_mean": float(np.mean(consensus))}


if __name__ == "__main__":
    main()
