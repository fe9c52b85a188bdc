"""`make docs-figures` after `make bench-amortised`: what an encoder does without the symmetrised loss, as a picture.

Three maps, the true one and those of a run with the loss and of one without, each turned so that the plane in which it
is most nearly its own mirror image stands upright, and summed along the line of sight; below, what is left of each when
its mirror image is taken away, in the same units.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import affine_transform

from hypermol.benchmarks.circumstances import ROOT
from hypermol.maps import read_map
from hypermol.metrics import plane_symmetry
from hypermol.simulation import Truth

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WORK = ROOT / ".bench" / "amortised"
DATA = WORK / "homogeneous-n5000-d32-snr1-seed0"
FINER = 4
"""Pixels of the picture per pixel of the map."""


def main(arguments: list[str] | None = None) -> None:
    """Draw the picture from runs that have finished."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--symmetrised", type=Path, default=Path(f"{DATA}-half-turn-e30/start0"))
    parser.add_argument("--one-copy", type=Path, default=Path(f"{DATA}-one-e30/start0"))
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "figures" / "planar.png")
    chosen = parser.parse_args(arguments)
    maps = {
        "true": Truth.load(chosen.data).map(0).numpy(),
        "symmetrised loss": read_map(chosen.symmetrised / "volumes" / "map.mrc")[0].numpy(),
        "one copy": read_map(chosen.one_copy / "volumes" / "map.mrc")[0].numpy(),
    }
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    picture(maps).savefig(chosen.out, dpi=110)
    print(f"written: {chosen.out}")


def picture(maps: dict[str, np.ndarray]) -> Figure:
    """Two rows of as many panels as there are maps [D, D, D]."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3 * len(maps), 6.2), layout="constrained")
    panels = figure.subplots(2, len(maps))
    for (above, below), (name, map_) in zip(panels.T, maps.items(), strict=True):
        likeness, normal = plane_symmetry(map_)
        shown = upright(map_, normal).sum(1)  # along y: x to the right, z up
        left = (shown - shown[:, ::-1]) / 2
        scale = float(np.abs(shown).max())
        above.imshow(shown, cmap="gray", origin="lower", vmin=0, vmax=scale)
        below.imshow(left, cmap="RdBu_r", origin="lower", vmin=-scale / 3, vmax=scale / 3)
        above.set_title(f"{name}\nlike its mirror image: {likeness:.2f}", fontsize=11)
        for panel in (above, below):
            panel.axvline(shown.shape[1] / 2 - 0.5, color="#b5651d", linewidth=0.8, linestyle="--")
            panel.set_xticks([])
            panel.set_yticks([])
    panels[0, 0].set_ylabel("projection")
    panels[1, 0].set_ylabel("minus its mirror image")
    return figure


def upright(map_: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """The map turned so that ``normal`` (x, y, z) points along x and the longest axis across it along z, its centre of
    mass in the middle, on a finer grid."""
    dense = np.clip(map_.astype(np.float64), 0, None)
    place = np.indices(map_.shape).reshape(3, -1)
    centre = (place * dense.ravel()).sum(1) / dense.sum()
    first = normal[::-1] / np.linalg.norm(normal)  # from here on in the order z, y, x
    away = place - centre[:, None]
    away = away - np.outer(first, first @ away)
    up = np.linalg.eigh((away * dense.ravel()) @ away.T)[1][:, -1]
    up = up * np.sign((dense.ravel() * (up @ away) ** 3).sum())
    axes = np.stack([up, np.cross(up, first), first])
    size = FINER * np.array(map_.shape)
    matrix = axes.T / FINER
    return np.asarray(
        affine_transform(map_.astype(np.float64), matrix, centre - matrix @ (size - 1) / 2, size, order=3)
    )


if __name__ == "__main__":
    main()
