"""The two programs, each trained by its own command line, as a user would."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from hypermol.benchmarks.cryodrgn_files import epoch_seconds, latent, maps_at, parsed
from hypermol.benchmarks.known_poses.size import Size
from hypermol.benchmarks.measure import Cost, measured, trained
from hypermol.benchmarks.outside import find_cryodrgn
from hypermol.runs import Run

OURS: dict[str, dict[str, Any]] = {
    "hypermol float32": {"precision": "float32"},
    "hypermol": {},
    "hypermol marching": {"phases.0.march_start": 0.25, "phases.0.march_end": 0.4},
}
"""Name → settings beyond the sizes; ``hypermol`` takes the precision that suits the machine."""
LONGER = {"hypermol marching": 1.3}
"""How many more epochs than the others it trains: its question is what it reaches in 60 % of the peer's time."""
PEER = "cryodrgn 4.3.1"


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a training cost, and how to get the maps [D, D, D] at the z of some particles, one by one."""

    timed: Cost
    epoch_seconds: list[float]
    notes: dict[str, Any]
    maps: Callable[[np.ndarray], Iterator[Tensor]]


def train(name: str, data: Path, out: Path, size: Size, epochs: int, seed: int) -> Trained:
    """One contestant on the particles of ``data``; a run of ours that was interrupted goes on (its process is then
    timed from there). Raises HypermolError where its program fails."""
    return _peer(data, out, size, epochs, seed) if name == PEER else _ours(name, data, out, size, epochs, seed)


def _peer(data: Path, out: Path, size: Size, epochs: int, seed: int) -> Trained:
    programs, star = find_cryodrgn(), data / "particles.star"
    _, (poses, ctf) = parsed(programs / "cryodrgn", star, data)
    # bright particles are right as they are: its CTF is negative at low k, and its default inversion meets that
    options = f"--zdim 8 -n {epochs} -b 16 --seed {seed} --enc-dim {size.hidden} --dec-dim {size.hidden}"
    files: list[str | Path] = [star, "-o", out, "--poses", poses, "--ctf", ctf, "--no-analysis"]
    layers = ["--enc-layers", "3", "--dec-layers", "3"]
    command = [programs / "cryodrgn", "train_vae", *files, *options.split(), *layers]
    log = out.with_name(f"{out.name}.log")
    timed = measured(command, log)
    maps = lambda chosen: maps_at(programs / "cryodrgn", out, latent(out)[chosen], out / "compared.txt")  # noqa: E731
    return Trained(timed, epoch_seconds(log.read_text()), {}, maps)


def _ours(name: str, data: Path, out: Path, size: Size, epochs: int, seed: int) -> Trained:
    layers = {"volume.hidden": size.hidden, "conformation.hidden": size.hidden}
    given = {"epochs": epochs, "seed": seed, **layers, **OURS[name]}
    options = [part for key, value in given.items() for part in ("--set", f"{key}={value}")]
    resumed = (out / "config.toml").exists()
    timed = trained(out, data / "particles.star", ["-m", "cryodrgn", *options])
    run = Run.open(out)
    seconds = [row["seconds"] for row in run.log() if row["event"] == "pass" and row["phase"] == "train"]
    notes = {"precision": run.config["method"]["precision"], **({"resumed": True} if resumed else {})}
    return Trained(timed, seconds, notes, lambda chosen: _maps(run, chosen))


def _maps(run: Run, chosen: np.ndarray) -> Iterator[Tensor]:
    from hypermol.methods import rebuild

    trained = rebuild(run)
    for particle in chosen:
        yield trained.map_of(int(particle))
