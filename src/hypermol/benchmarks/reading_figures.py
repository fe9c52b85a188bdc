"""`make docs-figures`: the pictures of docs/how-to-read-the-figures.md, from a run on a simulated set with one motion.

Nothing is drawn by hand: each picture shows the numbers that the benchmarks use, by the same functions.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hypermol.benchmarks.circumstances import ROOT
from hypermol.maps import read_map
from hypermol.methods import Trained, rebuild
from hypermol.metrics import along_direction, conformational_resolution
from hypermol.reconstruction import half_map_curves
from hypermol.runs import Run
from hypermol.simulation import (
    AT_Z,
    MEAN,
    MOVING,
    WHOLE,
    Truth,
    gain_of,
    knowable,
    map_curves,
    order_limits,
    order_scores,
    truth_masks,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OURS, RIVAL, KNOWN, FAINT = "#0b6e99", "#b5651d", "#222222", "#9aa5ad"


def main(arguments: list[str] | None = None) -> None:
    """Draw all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="of a method with z, on --truth")
    parser.add_argument("--truth", type=Path, required=True, help="a simulated set with one continuous coordinate")
    parser.add_argument("--particles", type=int, default=40)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "figures")
    chosen = parser.parse_args(arguments)
    run, truth = Run.open(chosen.run), Truth.load(chosen.truth)
    trained = rebuild(run)
    picked = truth.sample(chosen.particles)
    chosen.out.mkdir(parents=True, exist_ok=True)
    pictures = {
        "gain": gain_picture(trained, truth, picked),
        "limit": limit_picture(trained, truth),
        "resolution": resolution_picture(run, trained.pixel_size),
        "states": states_picture(trained, truth),
    }
    for name, figure in pictures.items():
        figure.savefig(chosen.out / f"{name}.png", dpi=110)
        print(f"written: {chosen.out / name}.png")


def gain_picture(trained: Trained, truth: Truth, picked: np.ndarray) -> Figure:
    """A particle far from the mean: its own map, what the method shows for it, the mean map; and the FSC of all."""
    maps = [trained.map_of(int(particle)) for particle in picked]
    masks = truth_masks(truth)
    curves = map_curves(truth, picked, iter(maps), {MEAN: truth.mean_map()}, masks)
    far = int(np.abs(truth.conformation[picked, 0] - np.median(truth.conformation[:, 0])).argmax())
    rows = {"its own true map": truth.map(int(picked[far])), "the method's map at its z": maps[far]}
    rows |= {"noise-free mean map": truth.mean_map()}
    figure = _figure(9.6, 6.4)
    grid = figure.add_gridspec(2, 3, height_ratios=(1, 1.15))
    moving, seen = masks[MOVING].amax(0), masks[WHOLE].amax(0) > 0
    middle, half = truth.box // 2, int((torch.nonzero(seen) - truth.box // 2).abs().max()) + 3
    part = slice(max(0, middle - half), middle + half + 1)
    highest = float(rows["its own true map"].sum(0).max())
    for column, (name, map_) in enumerate(rows.items()):
        axes = figure.add_subplot(grid[0, column])
        axes.imshow(map_.float().sum(0)[part, part].cpu(), cmap="gray_r", vmin=0, vmax=highest, origin="lower")
        axes.contour(moving[part, part], levels=[0.5], colors=[RIVAL], linewidths=1)
        axes.set_title(name, fontsize=10)
        axes.set_xticks([])
        axes.set_yticks([])
    axes = figure.add_subplot(grid[1, :])
    shells, last = _per_angstrom(truth), truth.box // 4
    found, mean = (curves[MOVING][name].mean(0).numpy() for name in (AT_Z, MEAN))
    scored = slice(2, last)
    areas: dict[str, tuple[Any, str]] = {"room above the mean map": (1.0, FAINT)}
    areas["what was won of it"] = found[scored], OURS
    for label, (top, colour) in areas.items():
        axes.fill_between(shells[scored], mean[scored], top, color=colour, alpha=0.3, linewidth=0, label=label)
    axes.plot(shells, found, color=OURS, label="maps at z")
    axes.plot(shells, mean, color=RIVAL, label="noise-free mean map")
    words = f"inside the moving domain (outlined), mean over {len(picked)} particles: gain {gain_of(curves):.2f}"
    axes.set_title(words, fontsize=10)
    _fsc_axes(axes, shells)
    return figure


def limit_picture(trained: Trained, truth: Truth) -> Figure:
    """The true coordinate against what the images hold of it, and against the best direction of z."""
    some = np.random.default_rng(1).choice(truth.intact[truth.half[truth.intact] == 1], 400, replace=False)
    held = knowable(truth, some)
    if held is None:
        raise SystemExit("the picture of the images' own limit wants noise and one coordinate")
    known, z = truth.conformation[some, 0], trained.latent()
    predicted, others = along_direction(z, truth.conformation[:, :1], truth.half == 0)
    along = np.full(len(z), np.nan)
    along[others] = predicted[:, 0]
    limit, score = order_limits(truth, held)[0].r_squared, order_scores(truth, z)[0].r_squared
    panels = {
        f"the images' own limit\nR² {limit:.3f}": held.posterior.probability @ held.points[:, 0],
        f"best direction of z, fitted on the other half\nR² {score:.3f}": along[some],
    }
    figure = _figure(8.6, 4.4)
    for number, (name, found) in enumerate(panels.items()):
        axes = figure.add_subplot(1, 2, number + 1)
        axes.plot([known.min(), known.max()], [known.min(), known.max()], color=FAINT, linewidth=1)
        axes.scatter(known, found, s=8, alpha=0.6, linewidths=0, color=KNOWN if number == 0 else OURS)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("true coordinate (degrees)")
        axes.set_ylabel("found (degrees)")
        axes.set_aspect("equal")
    return figure


def resolution_picture(run: Run, pixel_size: float) -> Figure:
    """FSC between the half maps: unmasked, masked, with random phases, corrected."""
    first, second = (read_map(run.volumes / f"half{half}.mrc")[0] for half in (1, 2))
    mask = read_map(run.volumes / "mask.mrc")[0]
    found = half_map_curves(first, second, mask, pixel_size)
    figure = _figure(8.0, 4.4)
    axes = figure.add_subplot()
    per_angstrom = np.arange(len(found.unmasked)) / (first.shape[-1] * pixel_size)
    colours = {"unmasked": FAINT, "masked": RIVAL, "randomised": KNOWN, "corrected": OURS}
    for name, curve in found.named().items():
        label = "phases randomised" if name == "randomised" else name
        axes.plot(per_angstrom, curve.numpy(), color=colours[name], label=label)
    axes.axhline(0.143, color=FAINT, linewidth=1, linestyle=":")
    axes.annotate("0.143", (per_angstrom[1], 0.155), color=KNOWN, fontsize=9)
    _fsc_axes(axes, per_angstrom)
    axes.set_title("consensus: half map against half map", fontsize=10)
    return figure


def states_picture(trained: Trained, truth: Truth, count: int = 24) -> Figure:
    """How many of ``count`` particles, spread over the motion, can be told apart at each resolution."""
    order = truth.intact[np.argsort(truth.conformation[truth.intact, 0])]
    spread = order[np.linspace(0, len(order) - 1, count).round().astype(int)]
    mask = truth_masks(truth)[MOVING]
    families = {
        "true maps": (torch.stack([truth.map(int(p)).float() for p in spread]), KNOWN),
        "maps at z": (torch.stack([trained.map_of(int(p)).float() for p in spread]), OURS),
        "the mean map for every particle": (truth.mean_map().float().expand(count, -1, -1, -1), RIVAL),
    }
    figure = _figure(8.0, 4.4)
    axes = figure.add_subplot()
    for name, (maps, colour) in families.items():
        found = conformational_resolution(maps, truth.pixel_size, mask)
        axes.step(
            1 / found.angstrom[1:], found.states[1:], where="mid", color=colour, label=f"{name}{_split(found.split)}"
        )
    _resolution_axis(axes, _per_angstrom(truth))
    axes.set_ylabel(f"states told apart, of {count} particles")
    axes.set_title("inside the moving domain", fontsize=10)
    axes.legend(frameon=False, fontsize=9)
    return figure


def _split(angstrom: float) -> str:
    return f": two from {angstrom:.0f} Å on" if np.isfinite(angstrom) else ": one"


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _per_angstrom(truth: Truth) -> np.ndarray:
    return np.arange(truth.box // 2) / (truth.box * truth.pixel_size)


def _fsc_axes(axes: Any, per_angstrom: np.ndarray) -> None:
    _resolution_axis(axes, per_angstrom)
    axes.set_ylim(-0.05, 1.03)
    axes.set_ylabel("FSC")
    axes.legend(frameon=False, fontsize=9)


def _resolution_axis(axes: Any, per_angstrom: np.ndarray) -> None:
    axes.set_xlim(0, per_angstrom[-1])
    ticks = np.linspace(0, per_angstrom[-1], 7)[1:]
    axes.set_xticks(ticks, [f"{1 / tick:.1f}" for tick in ticks])
    axes.set_xlabel("resolution (Å)")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


if __name__ == "__main__":
    main()
