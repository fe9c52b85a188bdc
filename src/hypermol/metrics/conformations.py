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
    predicted, held = along_direction(z, truth[:, None], fit)
    known = truth[held]
    return DirectionScore(abs(spearman(predicted[:, 0], known)), r_squared(predicted[:, 0], known))


def circular_direction(z: np.ndarray, angle_deg: np.ndarray, fit: np.ndarray) -> DirectionScore:
    """The same for an angle: (cos, sin) is fitted; R² over both; rank correlation on the circle of the angle read off.

    Raises DataError as ``best_direction``.
    """
    radians = np.deg2rad(angle_deg)
    pair = np.stack([np.cos(radians), np.sin(radians)], 1)
    predicted, held = along_direction(z, pair, fit)
    read = np.arctan2(predicted[:, 1], predicted[:, 0])
    residual = ((predicted - pair[held]) ** 2).sum()
    total = ((pair[held] - pair[held].mean(0)) ** 2).sum()
    ranked = abs(circular_spearman(np.rad2deg(read), angle_deg[held]))
    return DirectionScore(ranked, float(1 - residual / total) if total > 0 else 0.0)


def first_component(z: np.ndarray, truth: np.ndarray) -> float:
    """|Spearman| of truth [N] with the first principal component of z [N, d]: nothing is fitted to the truth.

    0 (nothing, or z constant) to 1; as Levy et al. 2022 report it. A z that holds the truth in a weaker direction
    scores low here and high in ``best_direction``. Raises DataError where z is not finite.
    """
    _require_finite(z)
    centred = z.astype(np.float64) - z.mean(0, dtype=np.float64)
    if not (centred.std(0) > 1e-10 * np.abs(z).max(0)).any():
        return 0.0
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return abs(spearman(centred @ vectors[:, -1], truth))


def state_accuracy(z: np.ndarray, state: np.ndarray, fit: np.ndarray) -> float:
    """Share of the particles not in ``fit`` (bool [N]) whose state [N] a linear discriminant of z [N, d] names rightly.

    The discriminant is fitted on ``fit``; its classes share one covariance (Fisher 1936). A state that has no
    particle in ``fit`` is never named. 1 best; where z knows nothing, the largest state is named for all. Raises
    DataError as ``best_direction``.
    """
    _require_enough(z, fit)
    x = _scaled(z, fit)
    known, member = np.unique(state[fit], return_inverse=True)
    means = np.stack([x[fit][member == k].mean(0) for k in range(len(known))])
    spread = x[fit] - means[member]
    # a direction without spread inside the states tells them apart best of all and must not be lost as singular
    covariance = spread.T @ spread / max(1, len(spread) - len(known)) + 1e-6 * np.eye(x.shape[1])
    slopes = np.linalg.solve(covariance, means.T)
    share = np.bincount(member) / len(member)
    discriminant = x[~fit] @ slopes - 0.5 * (means.T * slopes).sum(0) + np.log(share)
    return float((known[discriminant.argmax(1)] == state[~fit]).mean())


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Rank correlation, -1 to 1; 0 where either is constant."""
    from scipy.stats import rankdata

    a, b = rankdata(first) - (len(first) + 1) / 2, rankdata(second) - (len(second) + 1) / 2
    norm = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / norm) if norm > 0 else 0.0


def circular_spearman(first_deg: np.ndarray, second_deg: np.ndarray) -> float:
    """Rank correlation of two angles, -1 to 1, unchanged by turning either circle; 0 where they are independent.

    |Σ exp i(a - b)|² - |Σ exp i(a + b)|² over n², a and b the ranks laid evenly on the circle (Fisher & Lee 1982,
    Biometrika 69, 315).
    """
    from scipy.stats import rankdata

    count = len(first_deg)
    a, b = (2 * np.pi * rankdata(angle % 360.0) / count for angle in (first_deg, second_deg))
    along, against = (abs(np.exp(1j * (a + sign * b)).sum()) ** 2 for sign in (-1, 1))
    return float((along - against) / count**2)


def r_squared(predicted: np.ndarray, truth: np.ndarray) -> float:
    """1 - residual variance over variance; at best 1, 0 for the mean, negative when worse than the mean."""
    total = ((truth - truth.mean()) ** 2).sum()
    return float(1 - ((truth - predicted) ** 2).sum() / total) if total > 0 else 0.0


def along_direction(z: np.ndarray, target: np.ndarray, fit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """target [N, t] from z [N, d] by least squares on ``fit``, read off on the others [n, t]; and which those are [N].
    Raises DataError as ``best_direction`` does. A dimension that is constant but for rounding is left out: its
    rounding would have ranks."""
    _require_enough(z, fit)
    held = ~fit
    known = z[fit].astype(np.float64)
    centre, level = known.mean(0), target[fit].mean(0)
    alive = known.std(0) > 1e-10 * np.abs(known).max(0)
    slopes, *_ = np.linalg.lstsq((known - centre)[:, alive], target[fit] - level, rcond=None)
    return (z[held] - centre)[:, alive] @ slopes + level, held


def _scaled(z: np.ndarray, fit: np.ndarray) -> np.ndarray:
    """z in principal components of unit variance on ``fit``; those that are constant but for rounding are left out."""
    known = z[fit].astype(np.float64)
    centre = known.mean(0)
    _, values, axes = np.linalg.svd(known - centre, full_matrices=False)
    alive = values > 1e-10 * np.sqrt(len(known)) * max(float(np.abs(known).max()), 1e-300)
    return (z - centre) @ axes[alive].T * (np.sqrt(len(known)) / values[alive])


def _require_enough(z: np.ndarray, fit: np.ndarray) -> None:
    needed, held = z.shape[1] + 2, ~fit
    if fit.sum() < needed or held.sum() < needed:
        raise DataError(
            f"a direction of z needs at least {needed} particles on either side, found {fit.sum()}, {held.sum()}"
        )
    _require_finite(z)


def _require_finite(z: np.ndarray) -> None:
    if not np.isfinite(z).all():
        raise DataError(f"z holds {np.count_nonzero(~np.isfinite(z))} values that are NaN or infinite")
