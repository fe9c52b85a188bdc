"""`make bench-pose-differences`: poses found by us beside those in the metadata of real particles.

Two ways. *Held out*: the poses of some particles are searched for against the back projection of the others, from the
metadata's poses, up to the shell where its half maps agree; a tenth of the particles at a time, one by one where there
are fewer than 20. *Refined*: `hypermol train -m refine`, every pose searched anew, from the set's own back projection
low-passed to a quarter of Nyquist (which saw each particle's own pose: the easier task); sets of 20 particles or more.
Differences are taken after one global rotation and origin; of poses that a point group makes equal the nearest counts.
*By chance*: the median after the poses found were dealt out to other particles. The metadata are another program's
answer, not the truth.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hypermol.benchmarks.circumstances import ROOT, write_result
from hypermol.benchmarks.measure import free_folder, hypermol
from hypermol.errors import ConfigError, HypermolError
from hypermol.imaging import spacing_deg, symmetry_rotations
from hypermol.kernels import volume_to_grid
from hypermol.metrics import PoseErrors, align_poses, nearest_equivalents, pose_errors
from hypermol.particles import ImageSource, Particles, Preparation, read_particles
from hypermol.particles.star import StarDocument
from hypermol.poses import ScoredImages, SearchLevels, refine_poses, search_poses
from hypermol.reconstruction import Accumulators, first_below, form_maps, insertion
from hypermol.runs import Run

ENOUGH, FOLDS = 20, 10
LARGEST_BOX = 64
REACH = 0.05
SHARES = (10, 25, 50, 75, 90)
NEAR_DEG = 10.0


@dataclasses.dataclass(frozen=True)
class RealSet:
    """A set of the shared data. alone: every image is a particle of its own, whatever group it belongs to; options: of
    the reader, paths within the folder of the set; words: what a reader of the figures must know."""

    name: str
    folder: str
    file: str
    words: str
    alone: bool = False
    symmetry: str = "C1"
    options: tuple[tuple[str, Any], ...] = ()


PIXEL = (("pixel_size", 14.56),)  # the star's 1.96 Å is wrong: docs/reading-experimental-data.md
SETS = (
    RealSet(
        "ribosome tilt images, each by itself", "cryodrgn_tests", "sta_testing_bin8.star", "219 tilt images of 6 "
        "ribosomes, 14.56 Å per pixel, poses from Warp/M by whole tilt series; late tilts have seen most of the dose",
        alone=True, options=PIXEL,
    ),
    RealSet(
        "ribosome tilt series", "cryodrgn_tests", "sta_testing_bin8.star", "the same as 6 particles of 24 or 39 tilts, "
        "one pose each; the map of a fold has 5 particles", options=PIXEL,
    ),
    RealSet("17 particles", "aspire_tests", "sample_particles_relion30.star", "200 px; too few for a map"),
    RealSet("filament", "cryodrgn_tests", "relion31.star", "5 images of a filament: no map, and many poses alike"),
    RealSet(
        "hand (simulated elsewhere)", "cryodrgn_tests", "hand.mrcs", "100 projections by EMAN, no noise, no CTF, known "
        "poses: a control of the comparison itself", options=(("poses", "hand_rot_trans.pkl"), ("pixel_size", 1.0)),
    ),
)  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Search, refine and compare once per set, and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--work", type=Path, default=ROOT / ".bench" / "pose-differences")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "pose-differences.json")
    chosen = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = []
    for one in SETS:
        if not (chosen.data / one.folder / one.file).exists():
            raise ConfigError(f"{chosen.data / one.folder / one.file}: not there; say --data FOLDER")
        folder = free_folder(chosen.work / one.name.replace(" ", "-"))
        folder.mkdir(parents=True)
        path, options = prepared(one, chosen.data / one.folder, folder)
        particles = read_particles(path, **options)
        known = {"set": one.name, "file": f"{one.folder}/{one.file}", "particles": particles.count, "about": one.words}
        ways: dict[str, Callable[[], tuple[np.ndarray, np.ndarray, dict[str, Any]]]]
        ways = {"held out": lambda particles=particles: held_out(particles)}  # type: ignore[misc]
        if particles.count >= ENOUGH:
            ways["refined"] = lambda p=path, o=options, f=folder: refined(p, o, f)  # type: ignore[misc]
        for way, find in ways.items():
            try:
                rotation, shift, more = find()
                row = {**more, **differences(particles, rotation, shift, one.symmetry)}
            except HypermolError as error:
                row = {"failed": str(error)}
            rows.append({**known, "way": way, **row})
            print(rows[-1], flush=True)
            write_result(chosen.out, {"command": "make bench-pose-differences", "rows": rows})
    print(f"written: {chosen.out}")


def prepared(one: RealSet, data: Path, folder: Path) -> tuple[Path, dict[str, Any]]:
    """The file to read, and how."""
    options = {name: data / value if name == "poses" else value for name, value in one.options}
    if not one.alone:
        return data / one.file, options
    document = read_particles(data / one.file, **options).document
    if not isinstance(document, StarDocument):
        raise ConfigError(f"{data / one.file}: expected a star file")
    numbers = np.arange(document.rows)
    columns = {"rlnGroupName": [str(i) for i in numbers], "rlnRandomSubset": [str(1 + i % 2) for i in numbers]}
    document.write_columns(numbers, columns, folder / "alone.star")
    return folder / "alone.star", {**options, "datadir": data}


def held_out(particles: Particles) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Poses (rotations, shifts in Å) of all particles, each searched for against a map that never saw it."""
    source = ImageSource(particles, Preparation(box=min(particles.box, LARGEST_BOX)))
    parts = min(FOLDS, particles.count) if particles.count >= ENOUGH else particles.count
    fold = np.random.default_rng(0).permutation(np.arange(particles.count) % parts)
    rotation, shift, bands = np.empty((particles.count, 3, 3)), np.empty((particles.count, 2)), list[int]()
    for number in range(parts):
        rest, own = (torch.from_numpy(np.flatnonzero(chosen)) for chosen in (fold != number, fold == number))
        sums = Accumulators.zeros(source.box)
        for batch in map(source.load, rest.split(100)):
            halves = torch.arange(batch.size) % 2  # the file's may be as uneven as 1 to 5
            insertion(dataclasses.replace(batch, half=halves)).add_to(sums.data)
        maps = form_maps(sums, source.pixel_size)
        bands.append(max(4, min(first_below(maps.curves.masked, 0.143) - 1, source.box // 2 - 1)))
        rotation[own.numpy()], moved = _searched(source.load(own), maps.map, bands[-1])
        shift = np.resize(shift, (len(shift), moved.shape[1])) if number == 0 else shift
        shift[own.numpy()] = moved
    return rotation, shift, {"shells_compared": int(np.median(bands)), "angstrom": _angstrom(source, bands)}


def _searched(batch: Any, map_: torch.Tensor, band: int) -> tuple[np.ndarray, np.ndarray]:
    """The most likely pose of each particle of a batch."""
    images, grid = ScoredImages.of(batch.limit(band)), volume_to_grid(map_)
    levels = SearchLevels.up_to(band, REACH)
    rotation, shift, _ = search_poses(images, grid, levels).first
    rotation, shift, _ = refine_poses(images, grid, rotation, shift, spacing_deg(levels.last_order) / 2)
    return rotation.numpy(), (shift * batch.pixel_size).numpy()


def refined(path: Path, options: dict[str, Any], folder: Path) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Poses that ``refine`` finds from the set's own back projection, every pose searched anew."""
    told = [str(part) for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)]
    run = folder / "refine"
    cost = hypermol(["train", path, "-m", "refine", "-o", run, *told], folder / "refine.log")
    found = Run.open(run)
    estimates, resolution = found.estimates(), found.metrics()["resolution_masked"]["value"]
    return estimates["rotation"], estimates["shift"], {**cost.row(), "angstrom": resolution}


def differences(particles: Particles, rotation: np.ndarray, shift: np.ndarray, symmetry: str) -> dict[str, Any]:
    """Quantiles of the differences to the metadata's poses, and what chance would make of the median."""
    found = _compared(particles, rotation, shift, symmetry)
    dealt = np.random.default_rng(1).permutation(particles.count)
    chance = _compared(particles, rotation[dealt], shift[dealt], symmetry)
    values = {"rotation_deg": found.rotation_deg, "direction_deg": found.direction_deg, "shift_px": found.shift_px}
    quantiles = {name: [round(float(v), 2) for v in np.percentile(of, SHARES)] for name, of in values.items()}
    return {
        "quantiles_percent": list(SHARES),
        **{name: row for name, row in quantiles.items() if not np.isnan(row).any()},
        f"within_{NEAR_DEG:g}_deg_percent": round(100 * float((found.rotation_deg < NEAR_DEG).mean()), 1),
        "median_rotation_deg_by_chance": round(float(np.median(chance.rotation_deg)), 2),
        "all_rotation_deg": [round(float(value), 2) for value in np.sort(found.rotation_deg)],
    }


def _compared(particles: Particles, rotation: np.ndarray, shift: np.ndarray, symmetry: str) -> PoseErrors:
    """Differences after one rotation and origin; nearest of equal poses."""
    if particles.rotation is None or particles.shift is None:
        raise ConfigError(f"{particles.path} has no poses to compare with")
    known = nearest_equivalents(particles.rotation, rotation, symmetry_rotations(symmetry).numpy())
    if shift.shape[1] == 2:
        turned, moved, _ = align_poses(rotation, known, shift, particles.shift)
        return pose_errors(turned, known, moved, particles.shift, particles.pixel_size)
    return pose_errors(align_poses(rotation, known)[0], known)


def _angstrom(source: ImageSource, bands: list[int]) -> float:
    return round(source.box * source.pixel_size / float(np.median(bands)), 2)


if __name__ == "__main__":
    main()
