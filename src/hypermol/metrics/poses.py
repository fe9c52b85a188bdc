"""Errors of poses against the truth. A reconstruction from unknown poses has its own frame: one rotation, one
origin and the hand are free, and are taken out first (``align_poses``)."""

from dataclasses import dataclass

import numpy as np
import torch

from hypermol.errors import DataError
from hypermol.imaging.rotations import geodesic_angle_deg, mirror
from hypermol.shapes import Float

REWEIGHTED = 12
"""Rounds of reweighted least squares; the first is plain least squares."""


@dataclass(frozen=True)
class PoseErrors:
    """Errors of poses, one value per particle; 0 is best in each.

    rotation_deg: geodesic angle between the rotations, 0 … 180° (126.5° on average for random poses).
    direction_deg: angle between the viewing directions, 0 … 180° (90° on average for random poses).
    shift: length of the shift's error, Å; NaN where no shifts were given.
    shift_px: the same in pixels; NaN where no pixel size was given.
    """

    rotation_deg: Float[np.ndarray, " n"]
    direction_deg: Float[np.ndarray, " n"]
    shift: Float[np.ndarray, " n"]
    shift_px: Float[np.ndarray, " n"]

    @property
    def frobenius(self) -> Float[np.ndarray, " n"]:
        """‖R - R_true‖ = 2√2 sin(θ/2), θ the geodesic angle: 0 … 2.83 (Huynh 2009, eq. 32)."""
        return 2 * np.sqrt(2) * np.sin(np.deg2rad(self.rotation_deg) / 2)

    @property
    def frobenius_squared(self) -> Float[np.ndarray, " n"]:
        """‖R - R_true‖², 0 … 8; 6 on average for random poses. Often published under the name of the norm."""
        return self.frobenius**2

    def named(self) -> dict[str, tuple[str, Float[np.ndarray, " n"]]]:
        """name → (unit, values) of each error that is known."""
        errors = {
            "rotation": ("°", self.rotation_deg),
            "rotation, Frobenius norm": ("", self.frobenius),
            "rotation, squared Frobenius norm": ("", self.frobenius_squared),
            "viewing direction": ("°", self.direction_deg),
            "shift": ("Å", self.shift),
            "shift in pixels": ("px", self.shift_px),
        }
        return {name: pair for name, pair in errors.items() if not np.isnan(pair[1]).all()}

    def summaries(self) -> dict[str, "ErrorSummary"]:
        """name → median, mean and 95th percentile of each error that is known."""
        return {name: summarise(values, unit) for name, (unit, values) in self.named().items()}


@dataclass(frozen=True)
class ErrorSummary:
    """Median, mean and 95th percentile (linear between order statistics) of an error over the particles."""

    unit: str
    median: float
    mean: float
    percentile_95: float


def summarise(values: Float[np.ndarray, " n"], unit: str = "") -> ErrorSummary:
    """Median, mean and 95th percentile. Raises DataError where there are no values."""
    if len(values) == 0:
        raise DataError("summarise: expected at least one value")
    median, high = np.percentile(values, [50, 95])
    return ErrorSummary(unit, float(median), float(values.mean()), float(high))


def pose_errors(
    rotation: Float[np.ndarray, "n 3 3"],
    true_rotation: Float[np.ndarray, "n 3 3"],
    shift: Float[np.ndarray, "n t"] | None = None,
    true_shift: Float[np.ndarray, "n t"] | None = None,
    pixel_size: float | None = None,
) -> PoseErrors:
    """Errors of poses that share the frame of the truth. shifts: Å. pixel_size: Å, for errors in pixels too."""
    angle = geodesic_angle_deg(_tensor(rotation), _tensor(true_rotation)).numpy()
    difference = np.linalg.norm(rotation[:, 2].astype(np.float64) - true_rotation[:, 2], axis=-1)
    direction = np.rad2deg(2 * np.arcsin(np.clip(difference / 2, 0, 1)))
    moved = np.full(len(rotation), np.nan)
    if shift is not None and true_shift is not None:
        moved = np.linalg.norm(shift.astype(np.float64) - true_shift, axis=-1)
    return PoseErrors(angle, direction, moved, moved / (pixel_size or np.nan))


def align_poses(
    rotation: Float[np.ndarray, "n 3 3"],
    true_rotation: Float[np.ndarray, "n 3 3"],
    shift: Float[np.ndarray, "n 2"] | None = None,
    true_shift: Float[np.ndarray, "n 2"] | None = None,
    either_hand: bool = False,
) -> tuple[Float[np.ndarray, "n 3 3"], Float[np.ndarray, "n 2"] | None, bool]:
    """Poses moved to the frame of the truth by one rotation G (R → R G), one origin c (t → t + [R c]_xy) and,
    with ``either_hand``, the mirror where that fits better. Returns rotations, shifts, and whether mirrored.

    G and c minimise the sum of distances ‖R G - R_true‖ and |t + [R c]_xy - t_true|, not of their squares, so that
    wrong poses of some particles do not turn the frame of the others (Kabsch 1976, reweighted; Hartley et al. 2013).
    Raises DataError where there are no poses.
    """
    if len(rotation) == 0:
        raise DataError("align_poses: expected at least one pose")
    hands = [rotation] if not either_hand else [rotation, mirror(_tensor(rotation)).numpy()]
    aligned = [_rotated(hand.astype(np.float64), true_rotation) for hand in hands]
    misfit = [float(np.median(pose_errors(hand, true_rotation).rotation_deg)) for hand in aligned]
    best = int(np.argmin(misfit))
    if shift is None or true_shift is None:
        return aligned[best], None, best == 1
    rows = aligned[best][:, :2]
    return aligned[best], shift + rows @ _origin(rows, (true_shift - shift).astype(np.float64)), best == 1


def nearest_equivalents(
    rotation: Float[np.ndarray, "n 3 3"], target: Float[np.ndarray, "n 3 3"], group: Float[np.ndarray, "g 3 3"]
) -> Float[np.ndarray, "n 3 3"]:
    """Of the rotations R S that are equal to each R under a point group of S, the one nearest to its target."""
    equal = rotation[:, None].astype(np.float64) @ group
    closest = np.einsum("ngij,nij->ng", equal, target).argmax(axis=1)
    return equal[np.arange(len(rotation)), closest]


def _rotated(rotation: Float[np.ndarray, "n 3 3"], truth: Float[np.ndarray, "n 3 3"]) -> Float[np.ndarray, "n 3 3"]:
    """The estimated rotations in the frame of the truth."""
    weight = np.ones(len(rotation))
    for _ in range(REWEIGHTED):
        u, _, v = np.linalg.svd(np.einsum("n,nij,nik->jk", weight, rotation, truth))
        u[:, -1] *= np.linalg.det(u @ v)
        placed = rotation @ (u @ v)
        weight = _closeness(np.linalg.norm(placed - truth, axis=(1, 2)))
    return placed


def _origin(rows: Float[np.ndarray, "n 2 3"], wanted: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " 3"]:
    """c of rows @ c ≈ wanted."""
    weight = np.ones(len(rows))
    for _ in range(REWEIGHTED):
        root = np.sqrt(weight)[:, None]
        origin = np.linalg.lstsq((rows * root[..., None]).reshape(-1, 3), (wanted * root).reshape(-1), rcond=None)[0]
        weight = _closeness(np.linalg.norm(rows @ origin - wanted, axis=1))
    return origin


def _closeness(distance: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Weights with which least squares become least distances; those far below the median all weigh alike."""
    floor = max(0.1 * float(np.median(distance)), 1e-12)
    return floor / np.maximum(distance, floor)


def _tensor(array: Float[np.ndarray, "..."]) -> torch.Tensor:
    return torch.from_numpy(array.astype(np.float64))
