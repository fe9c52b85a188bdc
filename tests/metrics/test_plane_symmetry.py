"""Planes of symmetry of maps whose planes are known."""

import numpy as np
import pytest

from hypermol.metrics import plane_symmetry

SIZE = 24


def blobs(places: np.ndarray) -> np.ndarray:
    """Gaussians of 1.5 px at places (x, y, z) from the centre."""
    axis = np.arange(SIZE) - SIZE // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    square = [(x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2 for a, b, c in places]
    return np.exp(-np.array(square) / 4.5).sum(0)


@pytest.mark.parametrize("normal", [(0.0, 0.0, 1.0), (0.6, 0.0, 0.8), (1.0, -2.0, 2.0)])
def test_a_molecule_beside_its_mirror_image_has_a_plane(normal: tuple[float, float, float]) -> None:
    unit = np.array(normal) / np.linalg.norm(normal)
    places = np.random.default_rng(4).normal(size=(6, 3)) * 3.5
    mirrored = places - 2 * np.outer(places @ unit, unit)
    found, plane = plane_symmetry(blobs(np.concatenate([places, mirrored])))
    assert found > 0.97
    assert abs(plane @ unit) > 0.995
    assert plane_symmetry(blobs(places))[0] < 0.9
