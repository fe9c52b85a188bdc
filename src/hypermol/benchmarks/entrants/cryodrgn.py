"""cryoDRGN 4.3.1 by its own programs, with networks of 3×256 and z of 8 on a CPU, its defaults on a GPU.

It reads our star file through its own parsers. Images need no inversion: its CTF is negative at low frequency and its
data are inverted by default, so that bright particles give positive density.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from hypermol.benchmarks.answer import Answer
from hypermol.benchmarks.cryodrgn_files import epoch_of, epoch_seconds, latent, maps_at, parsed
from hypermol.benchmarks.entrants.contract import Outcome
from hypermol.benchmarks.measure import Cost, measured
from hypermol.benchmarks.outside import find_cryodrgn
from hypermol.benchmarks.task import Task
from hypermol.errors import ConfigError
from hypermol.maps import read_map
from hypermol.particles.cryodrgn import read_arrays

Program = Literal["train_vae", "train_dec", "abinit", "abinit_het_old", "backproject_voxel"]
ABINITIO: tuple[Program, ...] = ("abinit", "abinit_het_old")
DECODER = ["--dim", "256", "--layers", "3"]
SMALL = {
    "train_vae": ["--enc-dim", "256", "--dec-dim", "256", "--enc-layers", "3", "--dec-layers", "3"],
    "train_dec": DECODER,
    "abinit": DECODER,
    "abinit_het_old": [],  # 3×256 is its default
}
"""Its default of 3×1024 takes about 0.3 s per image and pass on two cores."""
EPOCHS = {"tiny": 2, "small": 20, "paper": 20}
Z = 8


@dataclass(frozen=True)
class CryoDrgn:
    """One of its programs: train_vae (encoder), train_dec (autodecoder), abinit (poses too; cryoDRGN-AI),
    abinit_het_old (poses by search: cryoDRGN2), and backproject_voxel (one map).

    more: words of its command line that win over those it is given here."""

    name: str
    program: Program
    family: str = "cryodrgn"
    ours: bool = False
    more: tuple[str, ...] = ()

    def version(self) -> str | None:
        """As its own package says, or None where it is not installed."""
        return _version()

    def unfit(self, task: Task) -> str | None:
        """Where it is not installed, or lacks the poses or the CTF that it needs."""
        if _version() is None:
            return "is not installed; `make peers` installs it, or set HYPERMOL_CRYODRGN to its bin folder"
        if self.program not in ABINITIO and not task.given.pose:
            return "needs poses, which are hidden"
        if self.program in ABINITIO and task.given.pose:
            return "finds poses; it takes part where they are hidden (--hide pose)"
        if len(task.truth.image_particle) != task.truth.count:  # abinit_het_old has --tilt, which ends in a KeyError
            return "takes one image per particle here"
        return None

    def settings(self, task: Task) -> dict[str, Any]:
        """Everything its command line is told besides files."""
        return {"program": self.program, "options": " ".join(self._options(task)), "version": _version()}

    def _options(self, task: Task) -> list[str]:
        as_they_are = [] if _states_ctf(task) else ["--uninvert-data"]  # its CTF turns densities over, too
        if self.program == "backproject_voxel":
            return ["--no-fsc-vals", *as_they_are, *self.more]
        networks = [] if torch.cuda.is_available() else SMALL[self.program]
        if self.program == "abinit_het_old" and task.truth.box < 64:  # its shells, 12 to 32, must lie in the image
            networks = [*networks, "--l-start", str(task.truth.box // 4), "--l-end", str(task.truth.box // 2)]
        words = ["-n", str(EPOCHS[task.tier]), "--seed", str(task.seed), "--zdim", str(Z), "--no-analysis"]
        return [*words, *networks, *as_they_are, *self.more]

    def run(self, task: Task, folder: Path, limit_seconds: float) -> Outcome:
        """Parse, train, read z and maps. What parsing costs counts; what scoring needs (eval_vol) does not. Where an
        earlier search for poses was stopped in this folder, it goes on from its last epoch: the cost is that of the
        rest."""
        program, log, star, out = find_cryodrgn() / "cryodrgn", folder / "log.txt", task.particles, folder / "out"
        cost, inputs = self._parsed(program, task, folder)
        goes_on = ["--load", "latest"] if self.program in ABINITIO and any(out.glob("weights.*.pkl")) else []
        command = [program, self.program, star, "--datadir", star.parent, *inputs, "-o", out]
        command += [*self._options(task), *goes_on]
        cost = cost + measured(command, log, None, limit_seconds)
        seconds = epoch_seconds(log.read_text(errors="replace"))
        images = task.truth.count * len(seconds)
        notes = {"images_per_second": round(images / sum(seconds), 1)} if sum(seconds) > 0 else {}
        return Outcome(cost, self._answer(program, out, folder), notes)

    def _parsed(self, program: Path, task: Task, folder: Path) -> tuple[Cost, list[str | Path]]:
        known = {"pose": task.given.pose, "ctf": _states_ctf(task)}
        what = [name for name, told in known.items() if told]
        cost, files = parsed(program, task.particles, folder, what)
        options = {"pose": "--poses", "ctf": "--ctf"}
        return cost, [part for name, path in zip(what, files, strict=True) for part in (options[name], path)]

    def _answer(self, program: Path, out: Path, folder: Path) -> Answer:
        if self.program == "backproject_voxel":
            return Answer(consensus=read_map(out / "backproject.mrc")[0])
        z = latent(out)
        maps = lambda particles: maps_at(program, out, z[particles], folder / "z.txt")  # noqa: E731
        return Answer(z=z, maps=maps, **_poses(out))


def _states_ctf(task: Task) -> bool:
    return task.given.ctf and task.truth.ctf is not None


def _poses(out: Path) -> dict[str, Any]:
    """Inferred poses, where the program writes any: rotations [N, 3, 3]; shifts stay in its own unit and are left."""
    files = sorted(out.glob("pose.*.pkl"), key=epoch_of)
    return {"rotation": np.asarray(read_arrays(files[-1])[0], dtype=np.float64)} if files else {}


@cache
def _version() -> str | None:
    try:
        folder = find_cryodrgn()
    except ConfigError:
        return None
    for path in sorted(folder.parent.glob("lib/python*/site-packages/cryodrgn-*.dist-info")):
        return path.name.removeprefix("cryodrgn-").removesuffix(".dist-info")
    return "unknown"


PROGRAMS: tuple[Program, ...] = ("train_vae", "train_dec", *ABINITIO, "backproject_voxel")
CRYODRGN_ENTRANTS = tuple(CryoDrgn(f"cryodrgn-{program}", program) for program in PROGRAMS)
