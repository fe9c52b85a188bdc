"""RELION 3.1.3 (Debian's package `relion`) by its own programs.

relion-class3d: relion_reconstruct makes a first map from the given poses, relion_refine classifies without alignment.
relion-refine: relion_refine searches all poses by expectation and maximisation, from the true mean map low-passed to
60 Å or four shells, since 3.1.3 has no other start for it on one processor; the row's settings say so.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.benchmarks.answer import Answer
from hypermol.benchmarks.entrants.contract import Outcome
from hypermol.benchmarks.measure import Cost, measured
from hypermol.benchmarks.task import Task
from hypermol.errors import DataError
from hypermol.maps import read_map, write_map
from hypermol.particles import Particles, read_particles
from hypermol.simulation import as_states

ITERATIONS = {"tiny": 6, "small": 25, "paper": 25}
CLASSES_OF_A_CONTINUUM = 4
TAU2_FUDGE = 4
START_ANGSTROM = 60.0
DEFAULT_OFFSET = 10.0
"""Å: RELION's standard deviation of origin offsets."""


@dataclass(frozen=True)
class Relion:
    """relion_refine with the poses given (classes) or hidden (poses of one map)."""

    name: str
    classify: bool
    family: str = "relion"
    ours: bool = False

    def version(self) -> str | None:
        """As it says itself, or None where it is not installed."""
        return _version()

    def unfit(self, task: Task) -> str | None:
        """Where it is not installed, or is told too little or too much."""
        if _version() is None:
            return "is not installed (Debian: apt-get install relion)"
        if self.classify != task.given.pose:
            return "needs poses, which are hidden" if self.classify else "finds poses; takes part where they are hidden"
        if self.classify and not task.truth.motion.moving.any():
            return "nothing moves, so there are no classes to find"
        if len(task.truth.image_particle) != task.truth.count:
            return "takes one image per particle here"
        return None

    def settings(self, task: Task) -> dict[str, Any]:
        """All options but files."""
        return {"options": " ".join(self._options(task)), "start": self._start(task), "version": _version()}

    def _start(self, task: Task) -> str:
        if self.classify:
            return "relion_reconstruct from the given poses"
        return f"the true mean map low-passed to {_start_resolution(task):.0f} Å"

    def _options(self, task: Task) -> list[str]:
        truth = task.truth
        diameter = min(0.9 * truth.box * truth.pixel_size, 2.2 * _radius(task))
        search = ["--healpix_order", "2", "--offset_range", "5", "--offset_step", "2", "--oversampling", "1"]
        aligned = ["--skip_align", *_wide_offsets(task)] if self.classify else search
        transfer = ["--ctf"] if task.given.ctf and truth.ctf is not None else []
        count, fudge = (_classes(task), TAU2_FUDGE) if self.classify else (1, 1)
        return [
            *("--K", str(count), "--iter", str(ITERATIONS[task.tier]), "--tau2_fudge", str(fudge)),
            *("--particle_diameter", f"{diameter:.0f}", "--ini_high", f"{_start_resolution(task):.0f}"),
            *(
                "--flatten_solvent",
                "--zero_mask",
                "--dont_check_norm",
                "--pad",
                "2",
                "--random_seed",
                str(task.seed + 1),
            ),
            *("--j", str(os.cpu_count() or 1), *transfer, *aligned),
        ]

    def run(self, task: Task, folder: Path, limit_seconds: float) -> Outcome:
        """Make the first map, refine, read classes or poses. It runs in the folder of the data, to which paths in the
        star file refer."""
        log, start, out = folder / "log.txt", (folder / "start.mrc").resolve(), (folder / "run").resolve()
        cost = self._first_map(task, start, log)
        command: list[str | Path] = ["relion_refine", "--i", task.particles.name, "--o", out, "--ref", start]
        cost = cost + measured([*command, *self._options(task)], log, None, limit_seconds, task.data)
        return Outcome(cost, self._answer(task, folder), {"iterations": ITERATIONS[task.tier]})

    def _first_map(self, task: Task, start: Path, log: Path) -> Cost:
        if not self.classify:
            write_map(start, task.truth.mean_map(), task.truth.pixel_size)
            return Cost()
        transfer = ["--ctf"] if task.given.ctf and task.truth.ctf is not None else []
        pixel = str(task.truth.pixel_size)
        options = ["--angpix", pixel, *transfer]
        return measured(
            ["relion_reconstruct", "--i", task.particles.name, "--o", start, *options], log, None, 0.0, task.data
        )

    def _answer(self, task: Task, folder: Path) -> Answer:
        last = f"run_it{ITERATIONS[task.tier]:03d}"
        maps = [read_map(path)[0] for path in sorted(folder.glob(f"{last}_class*.mrc"))]
        star = folder / f"{last}_data.star"
        found, order = _in_order(star, task)
        if not self.classify:
            return Answer(consensus=maps[0], rotation=found.rotation, shift=found.shift)
        number = _column(star, "rlnClassNumber").astype(int)[order] - 1
        share = np.bincount(number, minlength=len(maps)) / len(number)
        mean = sum((float(w) * m for w, m in zip(share, maps)), torch.zeros_like(maps[0]))

        def of(particles: np.ndarray) -> Iterator[Tensor]:
            return (maps[k] for k in number[particles])

        return Answer(classes=np.eye(len(maps))[number], maps=of, consensus=mean)


def _wide_offsets(task: Task) -> list[str]:
    """A prior of the origin offsets that holds all given ones, and stays.

    Its default, 10 Å, gives offsets of more than a few deviations no weight at all in single precision ("zero sum of
    weights"), and is estimated anew, as the spread of the given offsets, after each iteration. With --skip_align each
    particle has one offset, whose prior is the same for all classes: its width changes no posterior.
    """
    largest = float(np.linalg.norm(task.truth.shift[:, :2], axis=1).max()) if task.given.shift else 0.0
    return ["--offset", f"{max(DEFAULT_OFFSET, np.ceil(largest)):.0f}", "--fix_sigma_offset"]


def _classes(task: Task) -> int:
    return len(task.truth.motion.states()) if as_states(task.truth) else CLASSES_OF_A_CONTINUUM


def _start_resolution(task: Task) -> float:
    """60 Å, or the fourth shell where the box is small."""
    truth = task.truth
    return max(START_ANGSTROM, truth.box * truth.pixel_size / 4) if truth.box < 64 else START_ANGSTROM


def _radius(task: Task) -> float:
    motion = task.truth.motion
    shapes = (motion.atoms(state[None]) for state in motion.states())
    return max(float(np.linalg.norm(at[weight > 0], axis=-1).max()) for at, weight in shapes)


def _in_order(star: Path, task: Task) -> tuple[Particles, np.ndarray]:
    """Its particles in the order of ours, and the rows of its file in that order."""
    particles = read_particles(star, task.data)
    order = np.argsort(particles.image_index, kind="stable")
    if particles.count != task.truth.count:
        raise DataError(f"{star}: expected {task.truth.count} particles, found {particles.count}")
    return particles.subset(order), order


def _column(star: Path, name: str) -> np.ndarray:
    """A column of the particles' table as text."""
    lines = star.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("data_particles"))
    found = [re.match(r"_(\w+)\s+#(\d+)", line) for line in lines[start:]]
    place = next((int(m[2]) - 1 for m in found if m and m[1] == name), None)
    if place is None:
        raise DataError(f"{star}: expected a column {name}, found none")
    return np.array([line.split()[place] for line in lines[start:] if "@" in line])


@cache
def _version() -> str | None:
    if shutil.which("relion_refine") is None:
        return None
    said = subprocess.run(["relion_refine", "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+(\.\d+)?", said.stdout + said.stderr)
    return found[0] if found else "unknown"


RELION_ENTRANTS = (Relion("relion-class3d", classify=True), Relion("relion-refine", classify=False))
