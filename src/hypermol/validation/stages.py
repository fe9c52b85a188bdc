"""The stages between finished pieces and the verdict: each is computed once and kept in RUN/validation/stages."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.engine import InterruptedRun
from hypermol.errors import DataError
from hypermol.maps import automatic_mask, filtered, read_map, soft_sphere, write_map
from hypermol.methods import Conduct, rebuild, without_places
from hypermol.reconstruction import fourier_gain, half_map_curves, profile_volume
from hypermol.runs import Run
from hypermol.validation.axes import pose_and_ctf
from hypermol.validation.inference import applicable, look_at_half
from hypermol.validation.kept import Kept
from hypermol.validation.landscapes import order_agreement
from hypermol.validation.map_landscapes import compared_landscapes, maps_at
from hypermol.validation.motion import Motion, motion_between
from hypermol.validation.pieces import Piece, Whole, latent_of, piece_source
from hypermol.validation.sensitivity import compared
from hypermol.validation.state_maps import STATES, cuts_of, state_map, states_of

STILL = ("map", "unfiltered", "consensus")
"""Maps of a piece that say nothing of z: the first that both have is compared."""

FORMAT = 1
"""Of all stages. Raise it whenever a stage would come out otherwise from the same runs (another algorithm, another
constant, other files): stages that were kept are then computed anew and never mixed with new ones."""


@dataclasses.dataclass(frozen=True)
class Stages:
    """The stages of one validation. Each asks first whether to stop; raises InterruptedRun then."""

    whole: Whole
    conduct: Conduct

    @property
    def folder(self) -> Path:
        """RUN/validation."""
        return self.whole.run.path / "validation"

    @property
    def kept(self) -> Kept:
        """Where finished stages are."""
        return Kept(self.folder / "stages")

    def begin(self, text: str) -> None:
        """Say what comes next. Raises InterruptedRun where a stop was asked for."""
        if self.conduct.asked_to_stop():
            raise InterruptedRun(f"stopped before: {text}")
        self.conduct.report({"event": "note", "text": text})

    def still(self, pieces: tuple[Piece, Piece], runs: tuple[Run, Run], heterogeneous: bool) -> dict[str, Any]:
        """Which maps without motion were compared, the Å to which the halves agree (None: nowhere), and the curve: back
        projections of all images of each half, or of a method without z its own maps."""
        self.begin("the still maps of the two halves")
        make = partial(self._back_projections, pieces) if heterogeneous else partial(_own_maps, runs)
        return self.kept.record("still", [key_of(runs), heterogeneous], make)

    def motion(self, name: str, pieces: tuple[Piece, Piece], runs: tuple[Run, Run]) -> Motion:
        """``motion_between`` of two pieces; of the halves themselves the change maps are written too."""
        self.begin(f"how the map changes along the axes of z, straight from the images of each half ({name})")

        def make() -> dict[str, np.ndarray]:
            found = motion_between(self.whole, pieces, runs, self.conduct)
            if name == "halves" and found.changes is not None:
                self._write_changes(found)
            return found.arrays()

        return Motion.from_arrays(self.kept.arrays(f"motion-{name}", key_of(runs), make))

    def latent(self, runs: tuple[Run, Run]) -> list[np.ndarray] | None:
        """z of all particles by either half's model; None where a model cannot look at particles new to it."""
        if not applicable(self.whole.method):
            return None
        found = []
        for half, run in enumerate(runs):
            self.begin(f"the model of half {half + 1} looks at the particles of half {2 - half}")
            make = partial(look_at_half, run, self.whole, self.conduct)
            seen = self.kept.arrays(f"look-{half}", key_of((run,)), make)
            z = np.empty((self.whole.particles.count, seen["z"].shape[1]))
            z[self.whole.rows(half)], z[self.whole.rows(1 - half)] = run.estimates()["z"], seen["z"]
            found.append(z)
        return found

    def orders(self, motion: Motion, runs: tuple[Run, Run]) -> list[dict[str, Any] | None]:
        """Per axis, what ``order_agreement`` says; None where it cannot be said."""
        latent = self.latent(runs) if motion.count else None
        if latent is None:
            return [None] * motion.count
        nuisance = pose_and_ctf(self.whole.particles)
        first, second = (frame.coordinates(z, nuisance) for frame, z in zip(motion.frames, latent))
        seen = np.asarray(self.whole.particles.half)
        return [order_agreement(first[:, j], second[:, j], seen) for j in range(motion.count)]

    def states(
        self, motion: Motion, axis: int, pieces: tuple[Piece, Piece], runs: tuple[Run, Run]
    ) -> list[dict[str, Any]]:
        """Half maps of three equally populated states along an axis (from 0), and of as many particles at random."""
        self.begin(f"maps of {STATES} states along axis {axis + 1}, each half from its own images")
        made = self.kept.record(
            "states", (key_of(runs), axis), lambda: {"all": self._states(motion, axis, pieces, runs)}
        )
        return made["all"]

    def landscape_maps(self, runs: tuple[Run, Run]) -> dict[str, Any]:
        """``compared_landscapes`` of the two halves, each by its own model's maps at the z of its own particles."""
        self.begin("the landscapes of the two halves, compared by their maps")

        def make() -> dict[str, Any]:
            models = [rebuild(run, self.conduct.device, own_maps=True) for run in runs]
            first, second = (maps_at(model.decode_array, model.latent()) for model in models)
            return compared_landscapes(first, second, models[0].pixel_size * models[0].box / first.shape[-1])

        return self.kept.record("landscape-maps", key_of(runs), make)

    def compared(self, pieces: tuple[Piece, Piece], runs: tuple[Run, Run], axis: np.ndarray | None) -> dict[str, Any]:
        """``sensitivity.compared`` of a changed piece (half 1) with the unchanged one (half 2)."""
        self.begin(f"comparing {pieces[0].name}")
        return self.kept.record(
            f"changed-{pieces[0].name}", key_of(runs), lambda: compared(self.whole, pieces, runs, axis, self.conduct)
        )

    def own_coordinates(self, motion: Motion, runs: tuple[Run, Run]) -> list[np.ndarray]:
        """Coordinates [n, q] of each half's particles by its own model."""
        nuisance = pose_and_ctf(self.whole.particles)
        rows = [self.whole.rows(half) for half in range(2)]
        return [f.coordinates(latent_of(r, len(n)), nuisance[n]) for f, r, n in zip(motion.frames, runs, rows)]

    def _states(
        self, motion: Motion, axis: int, pieces: tuple[Piece, Piece], runs: tuple[Run, Run]
    ) -> list[dict[str, Any]]:
        first, second = (piece_source(self.whole, piece, self.conduct) for piece in pieces)
        own = [c[:, axis] for c in self.own_coordinates(motion, runs)]
        labels = [states_of(c, cuts_of(c)) for c in own]
        random = [np.random.default_rng([half, 23]).permutation(len(c)) % STATES for half, c in enumerate(own)]
        jobs = [(f"state-{s}", labels, s) for s in range(STATES)] + [("random-third", random, 0)]
        found = []
        for name, label, s in jobs:
            maps = state_map((first, second), (np.flatnonzero(label[0] == s), np.flatnonzero(label[1] == s)))
            for part, volume in (("", maps.map), ("-half1", maps.half_maps[0]), ("-half2", maps.half_maps[1])):
                write_map(self.volumes / f"{name}{part}.mrc", volume, maps.pixel_size)
            count = [int((one == s).sum()) for one in label]
            curve = maps.curves.corrected
            found.append(
                {"name": name, "particles": count, "resolution": maps.curves.resolution(), "curve": curve.numpy()}
            )
        return found

    def _back_projections(self, pieces: tuple[Piece, Piece]) -> dict[str, Any]:
        first, second = (piece_source(self.whole, piece, self.conduct) for piece in pieces)
        maps = state_map((first, second), (np.arange(first.count), np.arange(second.count)))
        return {"map": "back projection", "resolution": maps.curves.resolution(), "curve": maps.curves.corrected}

    @property
    def volumes(self) -> Path:
        """RUN/validation/volumes, made where it is missing."""
        folder = self.folder / "volumes"
        folder.mkdir(exist_ok=True)
        return folder

    def _write_changes(self, found: Motion) -> None:
        """axis-J-half1.mrc and -half2.mrc, unfiltered; axis-J-change.mrc, their mean filtered by their FSC."""
        if found.changes is None:
            return
        pixel_size = float(self.whole.particles.pixel_size * self.whole.particles.box / found.changes.shape[-1])
        for j in range(found.count):
            first, second = found.changes[:, j]
            gain = fourier_gain(torch.from_numpy(found.curve[j]))
            both = filtered((first + second) / 2, profile_volume(gain, first.shape[-1]))
            for name, volume in (("half1", first), ("half2", second), ("change", both)):
                write_map(self.volumes / f"axis-{j + 1}-{name}.mrc", volume, pixel_size)


def key_of(runs: tuple[Run, ...]) -> list[Any]:
    """What a stage rests on: how it is computed, and the settings of finished runs, whose results follow from these."""
    configs = [(run.path.name, run.config) for run in runs]
    return [FORMAT, *([name, c["seed"], c["method"], without_places(c["input"])] for name, c in configs)]


def _own_maps(runs: tuple[Run, Run]) -> dict[str, Any]:
    name = next((name for name in STILL if all((run.volumes / f"{name}.mrc").exists() for run in runs)), None)
    if name is None:
        return {"map": None, "resolution": None, "curve": []}
    (first, pixel_size), (second, _) = (read_map(run.volumes / f"{name}.mrc") for run in runs)
    curves = half_map_curves(first, second, _mask(first + second, pixel_size), pixel_size)
    return {"map": name, "resolution": curves.resolution(), "curve": curves.corrected}


def _mask(map_: Tensor, pixel_size: float) -> Tensor:
    box = map_.shape[-1]
    try:
        return automatic_mask(map_, pixel_size, edge=max(9.0, 4 * pixel_size))
    except DataError:
        return soft_sphere(box, box / 2 - box / 8 - 1, box / 8).to(map_)
