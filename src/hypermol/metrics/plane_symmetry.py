"""How nearly a map has a plane of symmetry: what ab initio reconstructions show that mix a molecule with its mirror."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import affine_transform

from hypermol.shapes import Float

DIRECTIONS = 300
FINER = 4
"""Rounds of nine neighbours around the best plane, each round at half the distance."""


def plane_symmetry(map_: Float[np.ndarray, "d d d"]) -> tuple[float, Float[np.ndarray, 3]]:
    """The largest correlation of a map with its reflection in a plane through its centre of mass, and the plane's
    normal (x, y, z). 1: a plane of symmetry. Negative densities are left out of the centre of mass.

    Reflections in planes of ``DIRECTIONS`` normals spread over half of the sphere, then nearer and nearer to the best.
    """
    dense = np.clip(map_.astype(np.float64), 0, None)
    axes = np.indices(map_.shape).reshape(3, -1)
    centre = (axes * dense.ravel()).sum(1) / max(float(dense.sum()), 1e-300)
    best, normal = max((_correlation(map_, n, centre), tuple(n)) for n in _half_sphere(DIRECTIONS))
    apart = np.sqrt(2 * np.pi / DIRECTIONS)
    for _ in range(FINER):
        apart /= 2
        for one in _around(np.array(normal), apart):
            found = _correlation(map_, one, centre)
            if found > best:
                best, normal = found, tuple(one)
    return float(best), np.array(normal)[::-1]


def _correlation(map_: np.ndarray, normal: np.ndarray, centre: np.ndarray) -> float:
    """With the reflection in the plane through ``centre``; both in the order z, y, x."""
    matrix = np.eye(3) - 2 * np.outer(normal, normal)
    reflected = affine_transform(map_.astype(np.float64), matrix, centre - matrix @ centre, order=1)
    ours, theirs = map_ - map_.mean(), reflected - reflected.mean()
    return float((ours * theirs).sum() / max(float(np.sqrt((ours**2).sum() * (theirs**2).sum())), 1e-300))


def _half_sphere(count: int) -> np.ndarray:
    """Directions [count, 3] evenly over the half sphere z ≥ 0, on a spiral of golden angles."""
    place = np.arange(count) + 0.5
    z, angle = 1 - place / count, np.pi * (3 - np.sqrt(5)) * place
    return np.stack([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z], 1)


def _around(normal: np.ndarray, apart: float) -> np.ndarray:
    """Eight unit vectors at about ``apart`` radians from one."""
    first = np.linalg.svd(normal[None])[2][1:]
    turns = np.arange(8) * np.pi / 4
    near = normal + apart * (np.cos(turns)[:, None] * first[0] + np.sin(turns)[:, None] * first[1])
    return near / np.linalg.norm(near, axis=1, keepdims=True)
