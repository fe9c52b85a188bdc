"""How well z knows a true coordinate. A direction is fitted on half of the particles and scored on the other half."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hypermol.errors import DataError


@dataclass(frozen=True)
class DirectionScore:
    """Best linear direction of z for a true coordinate: |Spearman| (0 to 1) and R² (at best 1), on unseen particles."""

    spearman: float
    r_squared: float


def best_direction(z: np.ndarray, truth: np.ndarray, fit: np.ndarray) -> DirectionScore:
    """Fit truth [N] as a linear function of z [N, d] on the particles ``fit`` (bool [N]); score it on the others.

    Raises DataError when either side has fewer than d + 2 particles.
    """
    predicted, held = _predicted(z, truth[:, None], fit)
    known = truth[held]
    return DirectionScore(abs(spearman(predicted[:, 0], known)), r_squared(predicted[:, 0], known))


def circular_direction(z: np.ndarray, angle_deg: np.ndarray, fit: np.ndarray) -> DirectionScore:
    """The same for an angle: (cos, sin) is fitted; R² over both; Spearman of the angle read off, wound around the truth.

    Raises DataError as ``best_direction``.
    """
    radians = np.deg2rad(angle_deg)
    pair = np.stack([np.cos(radians), np.sin(radians)], 1)
    predicted, held = _predicted(z, pair, fit)
    read = np.arctan2(predicted[:, 1], predicted[:, 0])
    unwound = radians[held] + (read - radians[held] + np.pi) % (2 * np.pi) - np.pi
    residual = ((predicted - pair[held]) ** 2).sum()
    total = ((pair[held] - pair[held].mean(0)) ** 2).sum()
    return DirectionScore(abs(spearman(unwound, radians[held])), float(1 - residual / total))


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Rank correlation, -1 to 1; 0 where either is constant."""
    from scipy.stats import rankdata

    a, b = rankdata(first) - (len(first) + 1) / 2, rankdata(second) - (len(second) + 1) / 2
    norm = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / norm) if norm > 0 else 0.0


def r_squared(predicted: np.ndarray, truth: np.ndarray) -> float:
    """1 - residual variance over variance; at best 1, 0 for the mean, negative when worse than the mean."""
    total = ((truth - truth.mean()) ** 2).sum()
    return float(1 - ((truth - predicted) ** 2).sum() / total) if total > 0 else 0.0


def _predicted(z: np.ndarray, target: np.ndarray, fit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    held, needed = ~fit, z.shape[1] + 2
    if fit.sum() < needed or held.sum() < needed:
        raise DataError(
            f"a direction of z needs at least {needed} particles on either side, found {fit.sum()}, {held.sum()}"
        )
    design = np.concatenate([z, np.ones((len(z), 1))], 1).astype(np.float64)
    weights, *_ = np.linalg.lstsq(design[fit], target[fit], rcond=None)
    return design[held] @ weights, held
