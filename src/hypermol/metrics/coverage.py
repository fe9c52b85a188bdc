"""Does z's posterior contain the truth as often as it says? The true z is known only through the true conformation."""

from __future__ import annotations

import numpy as np

from hypermol.errors import DataError


def coverage(
    mean: np.ndarray, covariance: np.ndarray, features: np.ndarray, fit: np.ndarray, level: float = 0.9
) -> float:
    """Share of the particles not in ``fit`` (bool [N]) whose true z lies in the ellipsoid that holds ``level`` of their
    Gaussian posterior, mean [N, d] and covariance [N, d, d] under the prior N(0, 1); ``level`` is right, 0 to 1.

    Particles of one conformation have one z. It is taken for a linear function of ``features`` [N, q] of the true
    conformation, fitted on ``fit`` to what the images alone say (the posterior over its prior: precision
    covariance⁻¹ - 1), which the prior does not draw towards its mean. Raises DataError where ``fit`` has fewer than
    10 particles per feature, or nobody is left.
    """
    from scipy.stats import chi2

    held, dimension = ~fit, mean.shape[1]
    if fit.sum() < 10 * features.shape[1] or not held.any():
        raise DataError(
            f"coverage of z's posterior needs at least {10 * features.shape[1]} particles to find the true z by, and "
            f"some to be held against it; found {fit.sum()} and {held.sum()}"
        )
    precision = np.linalg.inv(covariance.astype(np.float64))
    information = precision - np.eye(dimension)
    pull = np.einsum("nij,nj->ni", precision, mean.astype(np.float64))
    known = features[fit].astype(np.float64)
    normal = np.einsum("nq,nij,nr->qirj", known, information[fit], known, optimize=True)
    size = features.shape[1] * dimension
    right = np.einsum("nq,ni->qi", known, pull[fit]).reshape(size)
    slopes = np.linalg.lstsq(normal.reshape(size, size), right)[0].reshape(-1, dimension)
    error = features[held] @ slopes - mean[held]
    distance = np.einsum("ni,nij,nj->n", error, precision[held], error)
    return float((distance < chi2.ppf(level, dimension)).mean())
