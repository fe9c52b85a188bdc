"""Which images show the same particle, and the geometry that joins them (tilt pairs, tilt series).

Rows are the images of one particle when they share rlnTomoParticleName, or rlnGroupName in the way of Warp/M and
of tilt pairs: rlnGroupName is otherwise RELION's name for all particles of one micrograph, so it joins rows only
where no two rows of any group come from one micrograph, no group is split between half-sets, and (from three
images on) the rotations between a group's images share one axis, as those of a stage do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

AXIS_SPREAD_DEG = 15.0


def number_groups(names: Sequence[str]) -> NDArray[np.int64]:
    """0-based number of each name, in order of first appearance."""
    known: dict[str, int] = {}
    return np.array([known.setdefault(name, len(known)) for name in names], dtype=np.int64)


def join_images(
    words: dict[str, list[str]],
    halves: NDArray[np.float64] | None,
    rotation: NDArray[np.float64] | None,
    count: int,
) -> tuple[NDArray[np.int64], str | None]:
    """``image_particle`` int64 [M], and a sentence where several images were joined (None for single images).

    ``words`` holds the names "particle", "group" and "micrograph" of each image as far as the file has them.
    """
    single = np.arange(count, dtype=np.int64)
    for word, column in (("particle", "rlnTomoParticleName"), ("group", "rlnGroupName")):
        if word not in words:
            continue
        particle = number_groups(words[word])
        particles = int(particle.max()) + 1
        if particles == count or (word == "group" and not _is_tilted(particle, words, halves, rotation)):
            continue
        return particle, f"{count} images of {particles} particles, joined by {column}"
    return single, None


def _is_tilted(
    particle: NDArray[np.int64],
    words: dict[str, list[str]],
    halves: NDArray[np.float64] | None,
    rotation: NDArray[np.float64] | None,
) -> bool:
    if "micrograph" not in words:
        return False
    pairs = set(zip(particle.tolist(), words["micrograph"]))
    if len(pairs) < len(particle):
        return False
    if halves is not None and len(set(zip(particle.tolist(), halves.tolist()))) > int(particle.max()) + 1:
        return False
    return rotation is None or _one_axis(particle, rotation)


def _one_axis(particle: NDArray[np.int64], rotation: NDArray[np.float64]) -> bool:
    """Whether the rotations between the images of a particle turn about one axis of the microscope."""
    between = relative_tilts(particle, rotation)
    axis = np.stack(
        [between[:, 2, 1] - between[:, 1, 2], between[:, 0, 2] - between[:, 2, 0], between[:, 1, 0] - between[:, 0, 1]],
        axis=1,
    )
    axis = axis[np.linalg.norm(axis, axis=1) > 2 * np.sin(np.deg2rad(5.0))]  # small turns have no clear axis
    if len(axis) < 2:
        return True
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    main = np.linalg.eigh(axis.T @ axis)[1][:, -1]
    return bool(np.median(np.abs(axis @ main)) > np.cos(np.deg2rad(AXIS_SPREAD_DEG)))


def first_images(particle: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first image of each particle, int64 [N]."""
    return np.unique(particle, return_index=True)[1].astype(np.int64)


def relative_tilts(particle: NDArray[np.int64], rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """A_ij = R_ij R_i1ᵀ, [M, 3, 3]: what takes a particle's first image to each of its images."""
    reference = rotation[first_images(particle)][particle]
    return rotation @ reference.transpose(0, 2, 1)


def common_shift(
    particle: NDArray[np.int64], tilt: NDArray[np.float64], shift: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The 3-D shift τ [N, 3] of each particle and what remains of its images' shifts, s [M, 2] (Å).

    τ is the least-squares solution of [A_ij τ]_xy = t_ij, the shortest one where tilts leave a direction open;
    s_ij = t_ij - [A_ij τ]_xy keeps the file's shifts exactly.
    """
    count = int(particle.max()) + 1
    rows = tilt[:, :2, :]
    normal, right = np.zeros((count, 3, 3)), np.zeros((count, 3))
    np.add.at(normal, particle, rows.transpose(0, 2, 1) @ rows)
    np.add.at(right, particle, np.einsum("mji,mj->mi", rows, shift))
    common = np.einsum("nij,nj->ni", np.linalg.pinv(normal, rcond=1e-3, hermitian=True), right)
    return common, shift - np.einsum("mij,mj->mi", rows, common[particle])
