"""`make bench-likelihood-free`: maps and motions by matching distributions of images, no pose or z of any image.

Problems: ``rigid`` (an asymmetric molecule, 32 px, SNR 1), ``two-states``, ``hinge`` and ``hinge-60`` (the hinge at
±30°, moving by ±45° and by ±60°, 16 px, SNR 16), the published setting, ``hsp90`` and ``hsp90-25-75`` (Gupta et al.
2020; --tier paper: 100,000 images of 32 px, SNR 0.1, for a GPU; --tier small: 2,000 of them), and beyond it
``hsp90-shifted`` and ``hsp90-biased``. The same problems by methods that find poses stand in the same table.

Of a family, the maps at both ends are compared with the true ends beside the noise-free mean map, which no rigid map
can beat, and its FSCCC matrix with the true one. This is done after one alignment of all maps; with every map aligned
by itself (the mean map too) and FSCCC of pairs; and with one alignment of maps that were laid still: where views are
even, images do not determine the frames of conformations (``simulation.own_frames``).

A method is NAME, or NAME:key=value,key=value. Rows that are in the result file already are not run again.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.benchmarks.circumstances import ROOT, fill_rows
from hypermol.benchmarks.measure import free_folder, hypermol, method_words, simulated
from hypermol.benchmarks.problem import find_problem
from hypermol.maps import align_maps, read_map
from hypermol.methods import SHOWN, Trained, rebuild
from hypermol.metrics import fsc, resolution
from hypermol.runs import Run
from hypermol.simulation import Truth, family_figures, own_frame_figures

HALF = 0.5
OWN: dict[str, tuple[str, int, int, float, list[str]]] = {
    "rigid": ("homogeneous", 20_000, 32, 1.0, ["shift_px=0"]),
    "two-states": ("hinge", 20_000, 16, 16.0, ["shift_px=0", "pixel_size=11", "levels=2"]),
    "hinge": ("hinge", 20_000, 16, 16.0, ["shift_px=0", "pixel_size=11", "range_deg=-45,45"]),
    "hinge-60": ("hinge", 20_000, 16, 16.0, ["shift_px=0", "pixel_size=11", "range_deg=-60,60"]),
}
"""Recipe, images, box (px), SNR, settings. Of the two motions the frame in which the larger part of the molecule is
still is also the one in which maps differ least; where it is not (arms that swing by 45°, pixels of 12 Å), a game
finds the family in another frame than the truth's, for no image ties the two."""
PUBLISHED = ("hsp90", "hsp90-25-75", "hsp90-shifted", "hsp90-biased")


def main(arguments: list[str] | None = None) -> None:
    """Simulate, reconstruct and compare, and write the result file after every row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", nargs="+", choices=[*OWN, *PUBLISHED], default=["rigid"])
    parser.add_argument("--methods", nargs="+", default=["cryogan:turns=2000"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--tier", choices=["small", "paper"], default="small", help="Of the published problems.")
    parser.add_argument("--work", type=Path, default=ROOT / ".bench" / "likelihood-free")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "likelihood-free.json")
    chosen = parser.parse_args(arguments)
    cells = [(seed, name, method) for seed in chosen.seeds for name in chosen.problems for method in chosen.methods]
    tier = {name: chosen.tier if name in PUBLISHED else None for name in chosen.problems}
    jobs = (
        (
            {"problem": name, "method": method, "seed": seed, "tier": tier[name]},
            partial(_row, chosen, name, method, seed),
        )
        for seed, name, method in cells
    )
    fill_rows(chosen.out, "make bench-likelihood-free", jobs)


def _row(chosen: argparse.Namespace, name: str, method: str, seed: int) -> dict[str, Any]:
    data = _data(chosen, name, seed)
    run = free_folder(data.parent / method.replace(":", "-").replace(",", "-"))
    command: list[str | Path] = ["train", data / "particles.star", "-o", run, *method_words(method, seed)]
    cost = hypermol(command, run.with_name(f"{run.name}.log"))
    return {**cost.row(), **compared(Run.open(run), Truth.load(data))}


def _data(chosen: argparse.Namespace, name: str, seed: int) -> Path:
    if name in OWN:
        recipe, count, box, snr, settings = OWN[name]
        told = "".join(f"-{setting.replace('=', '')}" for setting in settings)
        folder: Path = chosen.work / f"{name}-n{count}-d{box}-snr{snr:g}{told}-seed{seed}"
        return simulated(recipe, folder / "data", count, box, snr, seed, settings)
    task = find_problem(name).at(chosen.tier, seed, chosen.work)
    task.simulate()
    return task.data


def compared(run: Run, truth: Truth) -> dict[str, Any]:
    """Figures of a run: of its family where it has one, else of its map."""
    found = rebuild(run, own_maps=True)
    maps = _family(found)
    figures: dict[str, Any] = {"particles": truth.count, "box": truth.box, **_game(run)}
    if maps is None:
        return figures | _of_one_map(_map_of(found), truth)
    named = family_figures(maps, truth)[0] | own_frame_figures(maps, truth)
    return figures | {name: _rounded(entry["value"]) for name, entry in named.items()}


def _family(found: Trained) -> Tensor | None:
    """Maps [n, D, D, D] evenly along a drawn z, or those of particles at equal steps of the first principal component
    of their z; None where there is no z."""
    along = getattr(found.method, "along", None)
    if along is not None:
        z = along(SHOWN)
        return None if z is None else found.decode(z).cpu()
    if not found.has_latent:
        return None
    latent = found.latent() - found.latent().mean(0)
    order = np.argsort(latent @ np.linalg.svd(latent, full_matrices=False)[2][0], kind="stable")
    shown = order[((np.arange(SHOWN) + 0.5) / SHOWN * len(order)).astype(int)]
    return torch.stack([found.map_of(int(particle)).float().cpu() for particle in shown])


def _game(run: Run) -> dict[str, Any]:
    given_up = [row["text"] for row in run.log() if row.get("event") == "note" and "given up" in str(row.get("text"))]
    return {"given_up": given_up} if given_up else {}


def _map_of(found: Trained) -> Tensor:
    path = found.run.volumes / "consensus.mrc"
    return read_map(path)[0] if path.exists() else found.decode(None)[0]


def _of_one_map(map_: Tensor, truth: Truth) -> dict[str, Any]:
    """FSC with the (mean) true map after alignment, both hands tried."""
    true = truth.mean_map().float()
    curve = fsc(align_maps(map_.float().cpu(), true).aligned, true)
    shell = truth.pixel_size * truth.box / resolution(curve, truth.pixel_size, HALF)
    return {
        "fsc_at_half_nyquist": _rounded(float(curve[truth.box // 4])),
        "fsc_0.5_at_share_of_nyquist": _rounded(shell / (truth.box / 2)),
        "fsc": [_rounded(float(value)) for value in curve],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
