"""`make bench-real-refinement`: experimental particles refined from a rough map, by us and by RELION 3.1.3.

101 β-galactosidase particles (EMPIAR-10061, D2) of the shared data, from a map low-passed to 40 Å. Several splits into
half sets, the same for both programs, the same start, group and mask. Scored alike: the unfiltered half maps of either
program in that mask, FSC corrected by phase randomisation, where it falls below 0.143. RELION runs on two workers and a
master (gold-standard refinement needs MPI), ours on as many threads as there
are, one after the other. Tried and left out, as it does RELION harm here: --solvent_correct_fsc (split 0: 12.2 Å).
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from hypermol.benchmarks.circumstances import ROOT, write_result
from hypermol.benchmarks.measure import Cost, free_folder, hypermol, measured
from hypermol.errors import ConfigError
from hypermol.maps import automatic_mask, read_map, resized, write_map
from hypermol.particles import read_particles
from hypermol.particles.star import StarDocument
from hypermol.reconstruction import half_map_curves

PARTICLES, START = "betagal101_96px.star", "start_40A.mrc"
GROUP, START_ANGSTROM, DIAMETER_ANGSTROM = "D2", 40, 220
PHASE_SEEDS = 5  # draws of random phases that a corrected resolution is the mean over
RELION = (
    "mpirun --allow-run-as-root --oversubscribe -n 3 relion_refine_mpi --auto_refine --split_random_halves "
    f"--firstiter_cc --ini_high {START_ANGSTROM} --low_resol_join_halves {START_ANGSTROM} --sym {GROUP} --ctf "
    f"--particle_diameter {DIAMETER_ANGSTROM} --flatten_solvent --zero_mask --norm --scale "
    "--pad 2 --oversampling 1 "
    "--healpix_order 2 --auto_local_healpix_order 4 --offset_range 5 --offset_step 2 --dont_combine_weights_via_disc "
    "--pool 3 --j 1"
)


def main(arguments: list[str] | None = None) -> None:
    """Refine and score once per split and program, and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "cryogan_betagal")
    parser.add_argument("--work", type=Path, default=ROOT / ".bench" / "real-refinement")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "real-refinement.json")
    chosen = parser.parse_args(arguments)
    _require(chosen.data)
    rows: list[dict[str, Any]] = []
    for split in chosen.splits:
        folder = free_folder(chosen.work / f"split{split}")
        _prepared(chosen.data, folder, split)
        for name, refine in {"hypermol": _ours, "RELION 3.1.3": _relion}.items():
            cost, halves = refine(folder)
            rows.append({"split": split, "program": name, **cost.row(), **_scored(folder, halves)})
            print(rows[-1], flush=True)
            write_result(chosen.out, {"command": "make bench-real-refinement", "relion": RELION, "rows": rows})
    print(f"written: {chosen.out}")


def _require(data: Path) -> None:
    if not (data / PARTICLES).exists():
        raise ConfigError(f"{data / PARTICLES}: the experimental particles are not there; say --data FOLDER")
    if shutil.which("relion_refine_mpi") is None or shutil.which("mpirun") is None:
        raise ConfigError("RELION 3.1.3 with MPI is not installed (Debian: apt-get install relion)")


def _prepared(data: Path, folder: Path, split: int) -> None:
    """particles.star with half sets drawn for this split, the start in the images' box, and a mask around it."""
    folder.mkdir(parents=True)
    particles = read_particles(data / PARTICLES)
    count, box, pixel_size = particles.count, particles.box, particles.pixel_size
    half = np.random.default_rng(split).permutation(np.arange(count) % 2) + 1
    if not isinstance(particles.document, StarDocument):
        raise ConfigError(f"{data / PARTICLES}: expected a star file")
    columns = {"rlnRandomSubset": [str(number) for number in half]}
    particles.document.write_columns(np.arange(count), columns, folder / "particles.star")
    for stack in data.glob("*.mrcs"):
        (folder / stack.name).symlink_to(stack.resolve())
    start, old = read_map(data / START)
    map_ = resized(start.float(), old, box, pixel_size)
    write_map(folder / "start.mrc", map_, pixel_size)
    write_map(folder / "mask.mrc", automatic_mask(map_, pixel_size, START_ANGSTROM, 10.0, 15.0), pixel_size)


def _ours(folder: Path) -> tuple[Cost, tuple[Path, Path]]:
    settings = {"reference": folder / "start.mrc", "mask": folder / "mask.mrc", "symmetry": GROUP, "start": 0.13}
    chosen = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    run = folder / "hypermol"
    cost = hypermol(["train", folder / "particles.star", "-m", "refine", "-o", run, *chosen], folder / "hypermol.log")
    return cost, (run / "volumes" / "half1.mrc", run / "volumes" / "half2.mrc")


def _relion(folder: Path) -> tuple[Cost, tuple[Path, Path]]:
    (folder / "relion").mkdir()
    files = ["--i", "particles.star", "--ref", "start.mrc", "--solvent_mask", "mask.mrc", "--o", "relion/run"]
    command = [*RELION.split(), *files, "--random_seed", "1"]
    cost = measured(command, folder / "relion.log", {"OMP_NUM_THREADS": "1"}, folder=folder)
    names = (f"run_half{half}_class001_unfil.mrc" for half in (1, 2))
    first, second = (folder / "relion" / name for name in names)
    return cost, (first, second)


def _scored(folder: Path, halves: tuple[Path, Path]) -> dict[str, float]:
    (first, pixel_size), (second, _) = (read_map(path) for path in halves)
    mask = read_map(folder / "mask.mrc")[0].float()
    drawn = [half_map_curves(first.float(), second.float(), mask, pixel_size, seed) for seed in range(PHASE_SEEDS)]
    names = ("unmasked", "masked", "corrected")
    found = {name: np.mean([curves.resolution(name) for curves in drawn]) for name in names}
    return {f"{name}_fsc_0.143_angstrom": round(float(value), 2) for name, value in found.items()}


if __name__ == "__main__":
    main()
