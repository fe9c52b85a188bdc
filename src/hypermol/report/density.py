"""Maps made small for the 3-D view: resampled in Fourier space, cropped to the molecule, one byte per voxel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hypermol.report.data import MapSeries
from hypermol.report.markup import packed
from hypermol.shapes import Float, Num

BUDGET = 3_600_000
SIDES = (80, 72, 64, 56, 48, 40, 32, 24)
FINEST_UPSAMPLING = 2.0
SIDE_VIEW = 1


def telling_axis(maps: Sequence[np.ndarray] | np.ndarray) -> int:
    """The axis (0 z, 1 y, 2 x) along which the outlines of the maps differ most; 1, a side view, for a single map."""
    if len(maps) < 2:
        return SIDE_VIEW
    views = [np.stack([np.sum(volume, axis=axis, dtype=np.float32) for volume in maps]) for axis in range(3)]
    return int(np.argmax([(view > 0.15 * view.max()).var(axis=0).sum() for view in views]))


@dataclass(frozen=True)
class Scene:
    """A series ready to be shown: ``frames`` [n, Z, Y, X] one byte each, ``change`` [Z, Y, X] (greatest less least
    over the series beyond what noise makes, one byte), ``step`` density per count, ``sigma`` of the whole maps,
    ``voxel`` Å, ``level`` a contour to begin with (counts).
    """

    series: MapSeries
    frames: Num[np.ndarray, "n Z Y X"]
    change: Num[np.ndarray, "Z Y X"]
    step: float
    sigma: float
    voxel: float
    level: float

    @property
    def radius(self) -> float:
        """Å from the middle of the frames to the farthest voxel inside the first contour of any of them."""
        inside = np.argwhere(self.frames.max(axis=0) > self.level)
        middle = (np.array(self.frames.shape[1:]) - 1) / 2
        return self.voxel * float(np.linalg.norm(inside - middle, axis=1).max(initial=1.0))

    def payload(self) -> dict[str, Any]:
        """For the script of the page."""
        return {
            "name": self.series.name,
            "title": self.series.title,
            "captions": [self.series.caption(index) for index in range(len(self.frames))],
            "coordinates": None if self.series.coordinates is None else np.round(self.series.coordinates[:, :3], 4),
            "size": list(self.frames.shape[:0:-1]),
            "voxel": self.voxel,
            "step": self.step,
            "sigma": self.sigma,
            "level": self.level,
            "radius": self.radius,
            "frames": [packed(frame.ravel()) for frame in self.frames],
            "axis": telling_axis(self.frames),
            "change": packed(self.change.ravel()),
        }


def resample(volume: Float[np.ndarray, "D D D"], box: int) -> Float[np.ndarray, "B B B"]:
    """``volume`` on a grid of ``box`` points across the same field, by its transform (``imaging.fourier_resample``);
    the pixel at index D//2 stays the origin."""
    import torch

    from hypermol.imaging import fourier_resample

    return fourier_resample(torch.from_numpy(np.asarray(volume, dtype=np.float32)), box, dims=3).numpy()


def prepare_scenes(all_series: Sequence[MapSeries], budget: int = BUDGET) -> list[Scene]:
    """Scenes of several series, as fine as ``budget`` voxels in all allow. Series without a positive voxel are left
    out (there is no surface to show)."""
    usable = [series for series in all_series if max(float(np.max(volume)) for volume in series.maps) > 0]
    for side in SIDES:
        plans = [_plan(series, side) for series in usable]
        if sum(voxels for _, voxels in plans) <= budget:
            break
    return [_scene(series, box) for series, (box, _) in zip(usable, plans)] if usable else []


def _plan(series: MapSeries, side: int) -> tuple[int, int]:
    """The box to resample to so that the molecule spans ``side`` voxels, and the voxels this takes."""
    box = series.maps[0].shape[0]
    extent = [high - low for low, high in bounds(strongest(series.maps))]
    factor = min(side / max(extent), FINEST_UPSAMPLING)
    new = max(8, 2 * round(box * factor / 2))
    voxels = int(np.prod([np.ceil(length * new / box) + 4 for length in extent]))
    return new, voxels * (len(series.maps) + 1)


def strongest(maps: Sequence[np.ndarray]) -> Float[np.ndarray, "D D D"]:
    """The greatest value of each voxel over ``maps``."""
    out = np.asarray(maps[0])
    for volume in maps[1:]:
        out = np.maximum(out, volume)
    return out


def bounds(peak: Float[np.ndarray, "D D D"]) -> list[tuple[int, int]]:
    """Per axis the range of what is well above the background (15 % of the peak, and five robust deviations), after
    averaging over 3 × 3 × 3 voxels; the whole box where nothing is."""
    from scipy.ndimage import uniform_filter

    peak = uniform_filter(np.asarray(peak, dtype=np.float32), 3)
    background = 1.4826 * np.median(np.abs(peak - np.median(peak)))
    strong = peak > max(0.15 * peak.max(), min(np.median(peak) + 5 * background, 0.5 * peak.max()))
    if not strong.any():
        return [(0, size) for size in peak.shape]
    found = []
    for axis in range(3):
        at = np.flatnonzero(strong.any(axis=tuple({0, 1, 2} - {axis})))
        found.append((max(int(at[0]) - 2, 0), min(int(at[-1]) + 3, peak.shape[axis])))
    return found


def _scene(series: MapSeries, box: int) -> Scene:
    maps = np.stack([resample(np.asarray(volume, dtype=np.float32), box) for volume in series.maps])
    ranges = tuple(slice(low, high) for low, high in bounds(maps.max(axis=0)))
    sigma = float(maps.std())
    cropped = maps[(slice(None), *ranges)]
    top = float(np.percentile(cropped.max(axis=0), 99.9)) or float(cropped.max())
    step = top / 250
    # one empty voxel around closes every surface
    frames = np.pad(_bytes(cropped, step), ((0, 0), (1, 1), (1, 1), (1, 1)))
    level = contour_level(cropped)
    change = np.pad(_bytes(_change(cropped, level), step), 1)
    voxel = series.pixel_size * np.asarray(series.maps[0]).shape[0] / box
    return Scene(series, frames, change, step, sigma, voxel, level / step)


def _change(maps: Float[np.ndarray, "n Z Y X"], level: float) -> Float[np.ndarray, "Z Y X"]:
    """Greatest less least value of each voxel, less what it typically is outside the molecule."""
    change = np.ptp(maps, axis=0)
    outside = change[maps.max(axis=0) < 0.5 * level]
    return np.maximum(change - float(np.median(outside)), 0.0) if outside.size else change


def contour_level(maps: Float[np.ndarray, "... Z Y X"]) -> float:
    """A contour to begin with: half the typical density inside the molecule, which Otsu's threshold (1979) between
    the positive voxels separates from what is around it."""
    values = maps[maps > 0.02 * maps.max()]
    if values.size < 2:
        return 0.5 * float(maps.max())
    from hypermol.maps import otsu_threshold

    return 0.5 * float(np.median(values[values >= otsu_threshold(values)]))


def _bytes(values: Float[np.ndarray, ...], step: float) -> Num[np.ndarray, ...]:
    return np.clip(np.round(values / step), 0, 255).astype(np.uint8)
