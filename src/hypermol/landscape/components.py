"""Principal components of z."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hypermol.landscape.latent import Latent
from hypermol.shapes import Float


@dataclass(frozen=True)
class PrincipalComponents:
    """z = mean + coordinates · axes, axes by falling variance.

    ``mean`` [d]; ``axes`` [d, d] orthonormal rows; ``variance`` [d] in units of z², or of squared density where it is
    known what each coordinate moves; ``ratio`` [d] of the whole variance (all zero when z is constant).
    """

    mean: Float[np.ndarray, " d"]
    axes: Float[np.ndarray, "d d"]
    variance: Float[np.ndarray, " d"]
    ratio: Float[np.ndarray, " d"]

    def project(self, z: Float[np.ndarray, "... d"]) -> Float[np.ndarray, "... d"]:
        """Coordinates of z along the axes (NaN stays NaN)."""
        return (z - self.mean) @ self.axes.T

    def restore(self, coordinates: Float[np.ndarray, "... c"]) -> Float[np.ndarray, "... d"]:
        """z of the first c coordinates, the others zero."""
        return self.mean + coordinates @ self.axes[: coordinates.shape[-1]]


def principal_components(latent: Latent) -> PrincipalComponents:
    """Eigenvectors of the covariance of z. The largest entry of each axis is positive, so signs are reproducible."""
    mean = latent.z.mean(axis=0)
    centred = latent.z - mean
    covariance = centred.T @ centred / max(latent.size - 1, 1)
    variance, vectors = np.linalg.eigh(covariance)
    variance = np.maximum(variance[::-1], 0.0)
    axes = vectors[:, ::-1].T
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    axes = axes * np.where(largest < 0, -1.0, 1.0)
    total = variance.sum()
    ratio = variance / total if total > 0 and not latent.constant else np.zeros_like(variance)
    return PrincipalComponents(mean, np.ascontiguousarray(axes), variance, ratio)


def own_components(latent: Latent, amplitude: Float[np.ndarray, " d"]) -> PrincipalComponents:
    """The coordinates themselves, for a method whose z are principal components already, each in units of its own
    standard deviation. ``amplitude`` [d]: ‖∂V/∂z‖ of each, which says how much of the motion is along it; principal
    components of such z would be a mere rotation of equal variances."""
    variance = latent.z.var(axis=0) * np.asarray(amplitude, float) ** 2
    order = np.argsort(-variance, kind="stable")
    total = variance.sum()
    ratio = variance[order] / total if total > 0 and not latent.constant else np.zeros_like(variance)
    return PrincipalComponents(latent.z.mean(axis=0), np.eye(latent.dimensions)[order], variance[order], ratio)
