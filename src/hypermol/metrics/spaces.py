"""Points whose Euclidean distance is the physical one, for rulers that compare distances or their ranks."""

from __future__ import annotations

import numpy as np

from hypermol.shapes import Float


def whitened(z: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n c"]:
    """Principal components of z with unit variance each; those below 1e-12 of the largest variance are left out.

    Unchanged, up to a rotation, by any invertible z → Az + b. A constant z gives no columns.
    """
    centred = z.astype(np.float64) - z.mean(0, dtype=np.float64)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    rounding = 1e-14 * len(z) * max(float(np.square(z, dtype=np.float64).max(initial=0.0)), 1e-300)
    kept = values**2 > max(1e-12 * float((values**2).max(initial=0.0)), rounding)
    return left[:, kept] * np.sqrt(len(z))


def pose_points(rotation: Float[np.ndarray, "n 3 3"]) -> Float[np.ndarray, "n 9"]:
    """Rotations as points: |a - b| = 2√2 sin(θ/2) grows with the geodesic angle θ: ranks are its ranks."""
    return rotation.reshape(len(rotation), 9)


def direction_points(rotation: Float[np.ndarray, "n 3 3"]) -> Float[np.ndarray, "n 3"]:
    """Viewing directions Rᵀe_z as points on the unit sphere."""
    return rotation[:, 2]


def defocus_points(
    defocus_u: Float[np.ndarray, " n"], defocus_v: Float[np.ndarray, " n"], angle_deg: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n 3"]:
    """Defocus (Å) with astigmatism as points (Å): |a - b| is the root mean square over all directions in the image of
    the difference of the defoci Δf(θ) = ½[U + V + (U - V) cos 2(θ - α)]."""
    mean, half = (defocus_u + defocus_v) / 2, (defocus_u - defocus_v) / 2
    twice = np.deg2rad(2 * angle_deg)
    return np.stack([mean, half * np.cos(twice) / np.sqrt(2), half * np.sin(twice) / np.sqrt(2)], axis=1)


def circle_points(angle_deg: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 2"]:
    """Angles (degrees) as points on the unit circle."""
    radians = np.deg2rad(angle_deg)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


def state_points(state: np.ndarray) -> Float[np.ndarray, "n k"]:
    """States [n] (labels of any type) as corners of a simplex: 1 apart where they differ, 0 where they are the same."""
    labels, member = np.unique(state, return_inverse=True)
    return np.eye(len(labels))[member] / np.sqrt(2)
