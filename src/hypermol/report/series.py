"""Maps from files, made small enough to be shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hypermol.errors import DataError
from hypermol.report.data import MapSeries
from hypermol.report.density import resample

LARGEST = 128


def series_of(
    files: list[Path],
    name: str,
    title: str,
    captions: tuple[str, ...],
    coordinates: np.ndarray | None = None,
    notes: tuple[str, ...] = (),
) -> MapSeries:
    """The maps of ``files`` (at least one) one after the other. Raises DataError where their boxes differ."""
    from hypermol.maps import read_map

    maps, pixel_size, box = [], 0.0, 0
    for path in files:
        volume, pixel_size = read_map(path)
        if box not in (0, volume.shape[0]):
            raise DataError(f"{path}: box {volume.shape[0]} px, but the maps beside it have {box}; run analyze again")
        box = volume.shape[0]
        maps.append(resample(volume.numpy(), min(box, LARGEST)))
    size = pixel_size * box / maps[0].shape[0]
    return MapSeries(name, title, maps, size, captions, coordinates, notes, original_box=box)
