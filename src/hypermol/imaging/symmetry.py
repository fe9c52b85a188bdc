"""Point groups: the rotations that leave a symmetric molecule as it is, by the names and axes that RELION uses."""

from __future__ import annotations

import math
import re
from functools import cache

import torch
from torch import Tensor

from hypermol.errors import ConfigError
from hypermol.imaging.rotations import rotvec_to_matrix
from hypermol.imaging.so3_grid import directions, in_plane_count, spacing_deg
from hypermol.shapes import Float, Int

_GOLDEN = (1 + math.sqrt(5)) / 2
_Z, _Y, _X, _DIAGONAL = (0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (1.0, 1.0, 1.0)
_TILTED = 2 / math.sqrt(5), 1 / math.sqrt(5)
_GENERATORS = {
    "T": ((3, _Z), (2, (0.0, math.sqrt(2), 1.0))),
    "O": ((4, _Z), (3, _DIAGONAL)),
    "I1": ((2, _Z), (3, _DIAGONAL), (5, (0.0, 1.0, _GOLDEN))),
    "I2": ((2, _Z), (3, _DIAGONAL), (5, (0.0, _GOLDEN, 1.0))),
    "I3": ((5, _Z), (2, _Y), (5, (_TILTED[0], 0.0, -_TILTED[1]))),
    "I4": ((5, _Z), (2, _Y), (5, (_TILTED[0], 0.0, _TILTED[1]))),
}
"""Order and axis of the rotations from which all others follow."""
_SAME = 1e-6
_CELL_RADIUS = 1.0  # of a cell of directions, from its centre to its corners, in steps of its order
_GENERIC = (0.2, 0.3, 0.933)  # no axis of any group: its nearest equivalent stands for a direction


@cache
def symmetry_rotations(name: str) -> Float[Tensor, "g 3 3"]:
    """All rotations S of a group (float64), the identity first: the map has V(S r) = V(r), so that poses R and R S are
    one.

    Cn: n-fold along z. Dn: and twofold along x. T: threefold along z; O: fourfold along z; I or I2: twofold axes along
    x, y, z, fivefold in the yz plane nearer to y (I1: to z); I3, I4: fivefold along z. Raises ConfigError for others.
    """
    elements = [torch.eye(3, dtype=torch.float64)]
    generators = symmetry_generators(name)
    for element in elements:  # grows on the way, until nothing new comes
        for generator in generators:
            product = generator @ element
            if all(float((product - known).abs().max()) > _SAME for known in elements):
                elements.append(product)
    return torch.stack(elements)


@cache
def symmetry_generators(name: str) -> Float[Tensor, "m 3 3"]:
    """The rotations (float64) from which all others of a group follow; the first is about z, and it and the last are
    enough. Raises ConfigError where there is no such group."""
    return torch.stack([_turn(fold, axis) for fold, axis in _generators(name)])


@cache
def asymmetric_cells(name: str, order: int) -> Int[Tensor, " n"]:
    """Flat indices of the rotations of ``so3_grid`` whose cells reach into one asymmetric unit of the directions: those
    nearer to a generic direction than to its equivalents. All where there is no symmetry."""
    axis = torch.tensor(_GENERIC, dtype=torch.float64)
    away = axis - symmetry_rotations(name) @ axis
    reach = math.radians(_CELL_RADIUS * spacing_deg(order)) * away.norm(dim=1)
    kept = torch.nonzero((directions(order) @ away.T >= -reach).all(1))[:, 0]
    planes = in_plane_count(order)
    return (kept[:, None] * planes + torch.arange(planes)).flatten()


def _generators(name: str) -> tuple[tuple[int, tuple[float, float, float]], ...]:
    known = {"I": "I2"}.get(name.upper(), name.upper())
    if known in _GENERATORS:
        return _GENERATORS[known]
    found = re.fullmatch(r"([CD])([1-9]\d?)", known)
    if not found:
        raise ConfigError(f"symmetry {name!r}: expected C1, C2, …, D2, D3, …, T, O, or I (I1, I2, I3, I4)")
    fold = int(found[2])
    return ((fold, _Z),) if found[1] == "C" else ((fold, _Z), (2, _X))


def _turn(fold: int, axis: tuple[float, float, float]) -> Float[Tensor, "3 3"]:
    direction = torch.tensor(axis, dtype=torch.float64)
    return rotvec_to_matrix(direction / direction.norm() * (2 * math.pi / fold))
