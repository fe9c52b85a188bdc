"""cryoDRGN 4.3.1 by its own programs, with networks of 3×256 and z of 8 on a CPU, its defaults on a GPU.

It reads our star file through its own parsers. Images need no inversion: its CTF is negative at low frequency and its
data are inverted by default, so that bright particles give positive density.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from hypermol.benchmarks.answer import Answer
from hypermol.benchmarks.entrants.contract import Outcome
from hypermol.benchmarks.measure import Cost, measured
from hypermol.benchmarks.outside import find_cryodrgn
from hypermol.benchmarks.task import Task
from hypermol.errors import ConfigError, DataError
from hypermol.maps import read_map
from hypermol.particles.cryodrgn import read_arrays

Program = Literal["train_vae", "train_dec", "abinit", "backproject_voxel"]
DECODER = ["--dim", "256", "--layers", "3"]
SMALL = {
    "train_vae": ["--enc-dim", "256", "--dec-dim", "256", "--enc-layers", "3", "--dec-layers", "3"],
    "train_dec": DECODER,
    "abinit": DECODER,
}
"""Its default of 3×1024 takes about 0.3 s per image and pass on two cores."""
EPOCHS = {"tiny": 2, "small": 15, "paper": 20}
Z = 8


@dataclass(frozen=True)
class CryoDrgn:
    """One of its programs: train_vae (encoder), train_dec (autodecoder), abinit (poses too; cryoDRGN-AI), and
    backproject_voxel (one map)."""

    name: str
    program: Program
    family: str = "cryodrgn"
    ours: bool = False

    def version(self) -> str | None:
        """As its own package says, or None where it is not installed."""
        return _version()

    def unfit(self, task: Task) -> str | None:
        """Where it is not installed, or lacks the poses or the CTF that it needs."""
        if _version() is None:
            return "is not installed; `make peers` installs it, or set HYPERMOL_CRYODRGN to its bin folder"
        if self.program != "abinit" and not task.given.pose:
            return "needs poses, which are hidden"
        if self.program == "abinit" and task.given.pose:
            return "finds poses; it takes part where they are hidden (--hide pose)"
        if len(task.truth.image_particle) != task.truth.count:
            return "takes one image per particle here"
        return None

    def settings(self, task: Task) -> dict[str, Any]:
        """Everything its command line is told besides files."""
        return {"program": self.program, "options": " ".join(self._options(task)), "version": _version()}

    def _options(self, task: Task) -> list[str]:
        if self.program == "backproject_voxel":
            return ["--no-fsc-vals"]
        networks = [] if torch.cuda.is_available() else SMALL[self.program]
        epochs = EPOCHS[task.tier]
        return ["-n", str(epochs), "--seed", str(task.seed), "--zdim", str(Z), "--no-analysis", *networks]

    def run(self, task: Task, folder: Path, limit_seconds: float) -> Outcome:
        """Parse, train, read z and maps. What parsing costs counts; what scoring needs (eval_vol) does not."""
        program, log, star, out = find_cryodrgn() / "cryodrgn", folder / "log.txt", task.particles, folder / "out"
        cost, inputs = self._parsed(program, task, folder, log)
        command = [program, self.program, star, "--datadir", star.parent, *inputs, "-o", out, *self._options(task)]
        cost = cost + measured(command, log, None, limit_seconds)
        notes = {"images_per_second": _speed(log.read_text(errors="replace"), task.truth.count)}
        return Outcome(cost, self._answer(program, out, folder), {k: v for k, v in notes.items() if v})

    def _parsed(self, program: Path, task: Task, folder: Path, log: Path) -> tuple[Cost, list[str | Path]]:
        cost = Cost()
        inputs: list[str | Path] = []
        if task.given.pose:
            cost = cost + measured([program, "parse_pose_star", task.particles, "-o", folder / "pose.pkl"], log)
            inputs += ["--poses", folder / "pose.pkl"]
        if task.given.ctf and task.truth.ctf is not None:
            cost = cost + measured([program, "parse_ctf_star", task.particles, "-o", folder / "ctf.pkl"], log)
            inputs += ["--ctf", folder / "ctf.pkl"]
        return cost, inputs

    def _answer(self, program: Path, out: Path, folder: Path) -> Answer:
        if self.program == "backproject_voxel":
            return Answer(consensus=read_map(out / "backproject.mrc")[0])
        z = np.asarray(read_arrays(_newest(out, "z.*.pkl"))[0], dtype=np.float64)
        maps = lambda particles: _maps(program, out, folder, z[particles])  # noqa: E731
        return Answer(z=z, maps=maps, **_poses(out))


def _maps(program: Path, out: Path, folder: Path, z: np.ndarray) -> Iterator[Tensor]:
    """Maps at rows of z, by eval_vol."""
    np.savetxt(folder / "z.txt", z)
    made = folder / "maps"
    options: list[str | Path] = ["-c", out / "config.yaml", "-o", made, "--zfile", folder / "z.txt"]
    measured([program, "eval_vol", _newest(out, "weights.*.pkl"), *options], folder / "eval.log")
    files = sorted(made.glob("*.mrc"))
    if len(files) != len(z):
        raise DataError(f"{made}: expected {len(z)} maps of eval_vol, found {len(files)}")
    for file in files:
        yield read_map(file)[0]


def _poses(out: Path) -> dict[str, Any]:
    """Inferred poses, where the program writes any: rotations [N, 3, 3]; shifts stay in its own unit and are left."""
    files = sorted(out.glob("pose.*.pkl"), key=_epoch)
    return {"rotation": np.asarray(read_arrays(files[-1])[0], dtype=np.float64)} if files else {}


def _newest(out: Path, pattern: str) -> Path:
    files = sorted(out.glob(pattern), key=_epoch)
    if not files:
        raise DataError(f"{out}: expected {pattern} of cryoDRGN, found none")
    return files[-1]


def _epoch(path: Path) -> int:
    numbers = re.findall(r"\d+", path.name)
    return int(numbers[-1]) if numbers else 1 << 30


def _speed(output: str, count: int) -> float | None:
    """Images per second of training, from lines such as "Finished in 0:04:31.2", one per epoch."""
    found = re.findall(r"Epoch: *\d+ .*Finished in (\d+):(\d+):([\d.]+)", output)
    seconds = sum(3600 * int(h) + 60 * int(m) + float(s) for h, m, s in found)
    return round(count * len(found) / seconds, 1) if seconds > 0 else None


@cache
def _version() -> str | None:
    try:
        folder = find_cryodrgn()
    except ConfigError:
        return None
    for path in sorted(folder.parent.glob("lib/python*/site-packages/cryodrgn-*.dist-info")):
        return path.name.removeprefix("cryodrgn-").removesuffix(".dist-info")
    return "unknown"


PROGRAMS: tuple[Program, ...] = ("train_vae", "train_dec", "abinit", "backproject_voxel")
CRYODRGN_ENTRANTS = tuple(CryoDrgn(f"cryodrgn-{program}", program) for program in PROGRAMS)
