"""What `hypermol validate` left in a run folder, for the page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hypermol.errors import DataError
from hypermol.maps import filtered, read_map
from hypermol.reconstruction import fourier_gain, profile_volume
from hypermol.report.data import MapSeries, ValidationShown
from hypermol.report.density import resample
from hypermol.report.series import LARGEST
from hypermol.runs import Run
from hypermol.shell import quoted
from hypermol.validation.validate import FORMAT

PARTS = ("from half 1", "from half 2", "mean of both")


def validation_of(run: Run, absent: list[str]) -> ValidationShown | None:
    """RUN/validation as the page shows it; None, with a sentence in ``absent``, where there is nothing to be read."""
    path = run.path / "validation" / "validation.json"
    if not path.exists():
        if run.finished:
            absent.append(
                f"No validation: `hypermol validate {quoted(run.path)}` says what of this reproduces between halves."
            )
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        absent.append(
            f"The validation cannot be read ({path}: {error}); run `hypermol validate {quoted(run.path)}` again."
        )
        return None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        absent.append(f"The validation in {path} is of another format than {FORMAT}; run `hypermol validate` again.")
        return None
    given = run.config["input"]
    width = float(given["box"] * given["pixel_size"])
    return ValidationShown(found, width, str(run.path), _changes(path.parent / "volumes", found))


def _changes(folder: Path, found: Mapping[str, Any]) -> MapSeries | None:
    """How the map changes along the first real axis: from either half, and both, all filtered to what reproduces."""
    real = [axis for axis in found.get("axes", ()) if axis["real"]]
    if not real:
        return None
    files = [folder / f"axis-{real[0]['axis']}-half{half}.mrc" for half in (1, 2)]
    if not all(path.exists() for path in files):
        return None
    curve = torch.tensor([value or 0.0 for value in real[0]["curve"]])
    maps, pixel_size = [], 0.0
    for path in files:
        volume, pixel_size = read_map(path)
        if volume.shape[0] != 2 * len(curve):
            raise DataError(f"{path}: box {volume.shape[0]} px, but its curve has {len(curve)} shells; validate again")
        maps.append(filtered(volume, profile_volume(fourier_gain(curve), volume.shape[0])).numpy())
    box, shown = len(maps[0]), min(len(maps[0]), LARGEST)
    both = [resample(each, shown) for each in (*maps, (maps[0] + maps[1]) / 2)]
    title = f"Change of the map along axis {real[0]['axis']}: bright where density appears, dark where it goes"
    return MapSeries("change", title, both, pixel_size * box / shown, PARTS, original_box=box)
