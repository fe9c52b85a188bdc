"""`make bench-optics`: contrast and defocus of each particle by `refine`, where the file's defocus is wrong and where
it is right.

homogeneous, 2,000 × 64 px at 2.5 Å, atoms of 1.5 Å, CTF with astigmatism, contrasts of standard deviation 0.2. The
perturbed file states a defocus that is off by N(0, 700²) Å, cut at ± 1,500 Å. Refinement begins from the file's poses
(the true ones, so that both files begin alike: their own back projection, low-passed). Beside the errors of defocus
stand the least that any estimate can have (Cramér-Rao, with the prior) and those of the same search given the true map,
poses and contrasts; beside the maps the FSC with the truth, unfiltered, in its mask.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hypermol.benchmarks.circumstances import ROOT, write_result
from hypermol.benchmarks.measure import free_folder, hypermol, simulated
from hypermol.errors import ConfigError
from hypermol.kernels import volume_to_grid
from hypermol.maps import align_maps, read_map
from hypermol.metrics import fsc, pose_scores
from hypermol.particles import Batch, ImageSource, read_particles
from hypermol.particles.star import StarDocument
from hypermol.poses import DefocusSums, compare_slices, find_defocus
from hypermol.reconstruction import first_below
from hypermol.runs import Run
from hypermol.simulation import Truth, defocus_bound

SPREAD, MOST = 700.0, 1500.0
BOUNDED = 200  # particles over which the bound is taken
SIMULATED = (
    "pixel_size=2.5",
    "sigma=1.5",
    "astigmatism=500",
    f"contrast_range=[{1 - 0.2 * 3**0.5:.6f}, {1 + 0.2 * 3**0.5:.6f}]",
)
OPTIONS = ("contrast", "defocus")
FILES = ("perturbed.star", "particles.star")


def main(arguments: list[str] | None = None) -> None:
    """Simulate, refine and compare once per seed, noise, file and choice; rows are added to the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--snr", type=float, nargs="+", default=[0.1])
    parser.add_argument("--refined", nargs="+", default=["off", "contrast", "contrast+defocus"])
    parser.add_argument("-n", type=int, default=2000)
    parser.add_argument("--work", type=Path, default=ROOT / ".bench" / "optics")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "optics.json")
    chosen = parser.parse_args(arguments)
    rows = json.loads(chosen.out.read_text())["rows"] if chosen.out.exists() else []
    problem = f"homogeneous, {chosen.n} x 64 px at 2.5 Å, contrasts 1 ± 0.2; defocus off by ± {SPREAD:g} Å"
    for snr, seed in ((snr, seed) for snr in chosen.snr for seed in chosen.seeds):
        folder = chosen.work / f"n{chosen.n}-snr{snr:g}-seed{seed}"
        data = simulated("homogeneous", folder / "data", chosen.n, 64, snr, seed, SIMULATED)
        off = perturbed(data, seed)
        for file in FILES:
            wrong = off if file == "perturbed.star" else np.zeros_like(off)
            for names in ([] if choice == "off" else choice.split("+") for choice in chosen.refined):
                key = {"snr": snr, "seed": seed, "file": file, "refined": names}
                if any(key.items() <= row.items() for row in rows):
                    continue  # an earlier call has it
                rows.append(key | _row(folder, file, names, wrong))
                print(rows[-1], flush=True)
                write_result(chosen.out, {"command": "make bench-optics", "problem": problem, "rows": rows})
    print(f"written: {chosen.out}")


def _row(folder: Path, file: str, names: list[str], wrong: np.ndarray) -> dict[str, Any]:
    """One refinement, compared with the truth."""
    data, truth = folder / "data", Truth.load(folder / "data")
    run = free_folder(folder / f"{file.partition('.')[0]}-{'-'.join(names) or 'off'}")
    settings = ["search_passes=0", *(f"{name}={str(name in names).lower()}" for name in OPTIONS)]
    command: list[str | Path] = ["train", data / file, "-m", "refine", "-o", run]
    cost = hypermol([*command, *(p for s in settings for p in ("--set", s))], folder / "run.log")
    limits = _limits(truth, data / file, wrong) if "defocus" in names and wrong.any() else {}
    return {**cost.row(), **compared(Run.open(run), truth, wrong), **limits}


def perturbed(data: Path, seed: int) -> np.ndarray:
    """perturbed.star beside particles.star; what was added to every defocus, Å."""
    particles = read_particles(data / "particles.star")
    off = np.clip(np.random.default_rng(seed).normal(0, SPREAD, particles.count), -MOST, MOST)
    if particles.ctf is None or not isinstance(particles.document, StarDocument):
        raise ConfigError(f"{data}: expected a simulated set with a CTF")
    columns = {
        name: [f"{value:.6f}" for value in defocus.numpy() + off]
        for name, defocus in (("rlnDefocusU", particles.ctf.defocus_u), ("rlnDefocusV", particles.ctf.defocus_v))
    }
    particles.document.write_columns(np.arange(particles.count), columns, data / "perturbed.star")
    return off


def compared(run: Run, truth: Truth, off: np.ndarray) -> dict[str, Any]:
    """Poses, map, and what was found of contrast and defocus, whose error in the file was ``off`` [N] Å."""
    found, exact, mask = run.estimates(), truth.map(0).float(), truth.mask().float()
    errors = pose_scores(found["rotation"], truth.rotation, found["shift"], truth.shift, pixel_size=truth.pixel_size)
    map_ = align_maps(read_map(run.volumes / "unfiltered.mrc")[0], exact).aligned
    curve = fsc(map_, exact, mask)
    row: dict[str, Any] = {
        "median_rotation_deg": round(float(np.median(errors.overall.rotation_deg)), 4),
        "median_shift_px": round(float(np.median(errors.overall.shift_px)), 4),
        "fsc_with_truth_mean": round(float(curve[1:].mean()), 4),
        "shell_of_fsc_half": first_below(curve, 0.5) - 1,
        "fsc_with_truth": [round(float(value), 4) for value in curve],
    }
    if "contrast" in found:
        wrong = found["contrast"] - truth.contrast / truth.contrast.mean()
        row |= {"contrast_rms_error": _rms(wrong), "contrast_spread": round(float(found["contrast"].std()), 4)}
    if "defocus_change_angstrom" in found:
        left = found["defocus_change_angstrom"] + off
        row |= {"defocus_rms_before": _rms(off), "defocus_rms_error": _rms(left)}
        row |= {"defocus_median_before": _median(off), "defocus_median_error": _median(left)}
        row |= {"defocus_rms_stated": _rms(found["defocus_error_angstrom"])}
    return row


def _limits(truth: Truth, star: Path, off: np.ndarray) -> dict[str, float]:
    """The Cramér-Rao bound of the defocus, and the errors of the same search given all else."""
    spread = float(off.std())
    bound = defocus_bound(truth, truth.sample(BOUNDED), spread).rms
    source = ImageSource(read_particles(star))
    grid = volume_to_grid(truth.map(0).float())
    parts = [next(iter(source.stream([rows]))) for rows in torch.arange(truth.count).split(250)]
    scale = _scale(truth, parts, grid, off)
    found = torch.cat([_told(truth, part, grid * scale, spread) for part in parts]).numpy()
    return {"defocus_rms_bound": round(bound, 1), "defocus_rms_error_told_all_else": _rms(found + off)}


def _told(truth: Truth, batch: Batch, grid: torch.Tensor, spread: float) -> torch.Tensor:
    match, power = _compared(truth, batch, grid)
    return find_defocus(DefocusSums.of(batch, match, power), 2000.0, spread**2).change


def _compared(truth: Truth, batch: Batch, grid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Images against the true map at true poses and contrasts."""
    rows = batch.particle.numpy()
    rotation, shift = (torch.from_numpy(values[rows]).float() for values in (truth.rotation, truth.shift))
    contrast = torch.from_numpy(truth.contrast[rows])[:, None, None]
    match, power = compare_slices(batch, grid, rotation, shift)
    return match * contrast, power * contrast.square()


def _scale(truth: Truth, parts: list[Batch], grid: torch.Tensor, off: np.ndarray) -> float:
    """What the map is multiplied by to be as strong as the images, which reading has scaled."""
    overlap = power = 0.0
    for part in parts:
        sums = DefocusSums.of(part, *_compared(truth, part, grid))
        (match, *_), (strength, *_) = sums.at(torch.from_numpy(-off[part.particle.numpy()]))
        overlap, power = overlap + float(match.sum()), power + float(strength.sum())
    return overlap / power


def _rms(values: np.ndarray) -> float:
    return round(float(np.sqrt(np.mean(np.square(values)))), 4 if np.abs(values).max() < 10 else 1)


def _median(values: np.ndarray) -> float:
    return round(float(np.median(np.abs(values))), 1)


if __name__ == "__main__":
    main()
