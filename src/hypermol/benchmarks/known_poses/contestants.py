"""The two programs, each trained by its own command line, as a user would."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from hypermol.benchmarks.known_poses.size import Size
from hypermol.benchmarks.measure import Cost, measured
from hypermol.benchmarks.outside import find_cryodrgn
from hypermol.runs import Run

OURS: dict[str, dict[str, Any]] = {
    "hypermol float32": {"precision": "float32"},
    "hypermol": {},
    "hypermol marching": {"phases.0.march_start": 0.25},
}
"""Name → settings beyond the sizes; ``hypermol`` takes the precision that suits the machine."""
PEER = "cryodrgn 4.3.1"


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a training cost, and how to get the map [D, D, D] at the z of each compared particle (by place)."""

    timed: Cost
    epoch_seconds: list[float]
    notes: dict[str, Any]
    maps: Callable[[np.ndarray], Callable[[int], Tensor]]


def simulate(data: Path, particles: int, box: int, seed: int) -> None:
    """The particles of one seed."""
    size = ["-n", str(particles), "--box", str(box), "--snr", "0.1", "--seed", str(seed)]
    _hypermol(["simulate", "hinge", "-o", data, *size], data.with_suffix(".log"))


def train(name: str, data: Path, out: Path, size: Size, epochs: int, seed: int) -> Trained:
    """One contestant on the particles of ``data``. Raises HypermolError where its program fails."""
    return _peer(data, out, size, epochs, seed) if name == PEER else _ours(name, data, out, size, epochs, seed)


def _peer(data: Path, out: Path, size: Size, epochs: int, seed: int) -> Trained:
    programs, star = find_cryodrgn(), data / "particles.star"
    poses, ctf = data / "pose.pkl", data / "ctf.pkl"
    measured([programs / "cryodrgn", "parse_pose_star", star, "-o", poses], data / "parse-pose.log")
    measured([programs / "cryodrgn", "parse_ctf_star", star, "-o", ctf], data / "parse-ctf.log")
    # bright particles are right as they are: its CTF is negative at low k, and its default inversion meets that
    options = f"--zdim 8 -n {epochs} -b 16 --seed {seed} --enc-dim {size.hidden} --dec-dim {size.hidden}"
    files: list[str | Path] = [star, "-o", out, "--poses", poses, "--ctf", ctf, "--no-analysis"]
    layers = ["--enc-layers", "3", "--dec-layers", "3"]
    command = [programs / "cryodrgn", "train_vae", *files, *options.split(), *layers]
    log = out.with_name(f"{out.name}.log")
    timed = measured(command, log)
    return Trained(timed, _peer_epoch_seconds(log.read_text()), {}, lambda chosen: _peer_maps(programs, out, chosen))


def _peer_epoch_seconds(output: str) -> list[float]:
    """From lines such as "Finished in 0:04:31.2" of its log, one per epoch."""
    found = re.findall(r"Epoch: *\d+ .*Finished in (\d+):(\d+):([\d.]+)", output)
    return [3600 * int(h) + 60 * int(m) + float(s) for h, m, s in found]


def _peer_maps(programs: Path, out: Path, chosen: np.ndarray) -> Callable[[int], Tensor]:
    from hypermol.maps import read_map
    from hypermol.particles.cryodrgn import read_arrays

    last = max(int(path.name.split(".")[1]) for path in out.glob("weights.*.pkl"))
    np.savetxt(out / "compared.txt", np.asarray(read_arrays(out / f"z.{last}.pkl")[0])[chosen])
    maps = out / "maps"
    arguments: list[str | Path] = ["-c", out / "config.yaml", "-o", maps, "--zfile", out / "compared.txt"]
    measured([programs / "cryodrgn", "eval_vol", out / f"weights.{last}.pkl", *arguments], out / "eval.log")
    files = sorted(maps.glob("*.mrc"))
    return lambda place: read_map(files[place])[0]


def _ours(name: str, data: Path, out: Path, size: Size, epochs: int, seed: int) -> Trained:
    layers = {"volume.hidden": size.hidden, "conformation.hidden": size.hidden}
    given = {"epochs": epochs, "seed": seed, **layers, **OURS[name]}
    options = [part for key, value in given.items() for part in ("--set", f"{key}={value}")]
    command: list[str | Path] = ["train", data / "particles.star", "-m", "cryodrgn", "-o", out, *options]
    timed = _hypermol(command, out.with_name(f"{out.name}.log"))
    run = Run.open(out)
    seconds = [row["seconds"] for row in run.log() if row["event"] == "pass" and row["phase"] == "train"]
    return Trained(timed, seconds, {"precision": run.config["method"]["precision"]}, lambda chosen: _maps(run, chosen))


def _maps(run: Run, chosen: np.ndarray) -> Callable[[int], Tensor]:
    from hypermol.methods import rebuild

    trained = rebuild(run)
    return lambda place: trained.map_of(int(chosen[place]))


def _hypermol(arguments: list[str | Path], log: Path) -> Cost:
    return measured([sys.executable, "-m", "hypermol", *arguments], log)
