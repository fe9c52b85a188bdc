"""Atomic models against the truth: RMSD after superposition, and, since it misses local change (Donnat et al. 2022,
§4.1.1), distances of contact maps and of backbone dihedrals, which need no common frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hypermol.errors import DataError
from hypermol.shapes import Bool, Float, Int


def superposition(
    moving: Float[np.ndarray, "n 3"], fixed: Float[np.ndarray, "n 3"], weight: Float[np.ndarray, " n"] | None = None
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, " 3"]]:
    """Rotation R and translation t (Å) with the least Σ w |R moving + t - fixed|²; never a mirror (Kabsch 1976).

    Raises DataError for fewer than 3 atoms.
    """
    if len(moving) < 3:
        raise DataError(f"superposition: expected at least 3 atoms, found {len(moving)}")
    share = np.full(len(moving), 1.0 / len(moving)) if weight is None else weight / weight.sum()
    from_centre, to_centre = share @ moving, share @ fixed
    u, _, vt = np.linalg.svd((moving - from_centre).T @ ((fixed - to_centre) * share[:, None]))
    hand = np.diag([1.0, 1.0, np.linalg.det(u @ vt)])
    rotation = (u @ hand @ vt).T
    return rotation, to_centre - rotation @ from_centre


def rmsd(
    first: Float[np.ndarray, "n 3"], second: Float[np.ndarray, "n 3"], weight: Float[np.ndarray, " n"] | None = None
) -> float:
    """√(Σ w |U - V|² / Σ w) in Å after the best superposition of the same atoms; 0 best (Donnat et al. 2022, eq. 8).

    Two unrelated models of radius of gyration r are about √2 r apart. Raises DataError for fewer than 3 atoms.
    """
    rotation, translation = superposition(first, second, weight)
    square = ((first @ rotation.T + translation - second) ** 2).sum(1)
    return float(np.sqrt(np.average(square, weights=weight)))


def contact_map(positions: Float[np.ndarray, "n 3"], cutoff: float = 8.0, apart: int = 3) -> Bool[np.ndarray, "n n"]:
    """Pairs of points (C-alpha atoms, say) within ``cutoff`` Å and at least ``apart`` places from each other."""
    from scipy.spatial.distance import cdist

    place = np.arange(len(positions))
    far = np.abs(place[:, None] - place) >= apart
    return (cdist(positions, positions) <= cutoff) & far


def contact_map_distance(
    first: Float[np.ndarray, "n 3"], second: Float[np.ndarray, "n 3"], cutoff: float = 8.0, apart: int = 3
) -> float:
    """Share of the contacts of either model that are not in both (Jaccard 1912), 0 (best) … 1 (none in common).

    0 where neither has a contact. Contacts are those of ``contact_map``: features that need no common frame (Scherer
    et al. 2019).
    """
    one, other = contact_map(first, cutoff, apart), contact_map(second, cutoff, apart)
    either = np.count_nonzero(one | other)
    return float(np.count_nonzero(one ^ other) / either) if either else 0.0


def dihedral(
    a: Float[np.ndarray, "n 3"],
    b: Float[np.ndarray, "n 3"],
    c: Float[np.ndarray, "n 3"],
    d: Float[np.ndarray, "n 3"],
) -> Float[np.ndarray, " n"]:
    """Angle (°, -180 … 180) about the bond b-c from a to d; clockwise looking along the bond is positive (IUPAC)."""
    first, bond, last = b - a, c - b, d - c
    left, right = np.cross(first, bond), np.cross(bond, last)
    length = np.linalg.norm(bond, axis=-1)
    return np.rad2deg(np.arctan2(length * (first * right).sum(-1), (left * right).sum(-1)))


def backbone_dihedrals(
    nitrogen: Float[np.ndarray, "r 3"],
    alpha: Float[np.ndarray, "r 3"],
    carbon: Float[np.ndarray, "r 3"],
    longest_bond: float = 2.5,
) -> Float[np.ndarray, "r 2"]:
    """(φ, ψ) in degrees of consecutive residues; NaN at ends and where C-N is longer than ``longest_bond`` Å."""
    angles = np.full((len(alpha), 2), np.nan)
    phi = dihedral(carbon[:-1], nitrogen[1:], alpha[1:], carbon[1:])
    psi = dihedral(nitrogen[:-1], alpha[:-1], carbon[:-1], nitrogen[1:])
    broken = np.linalg.norm(nitrogen[1:] - carbon[:-1], axis=-1) > longest_bond
    angles[1:, 0] = np.where(broken, np.nan, phi)
    angles[:-1, 1] = np.where(broken, np.nan, psi)
    return angles


def dihedral_distance(first: Float[np.ndarray, "r 2"], second: Float[np.ndarray, "r 2"]) -> float:
    """Mean absolute difference on the circle, in degrees, of the angles known in both: 0 best, 90 by chance.

    The angles are those of ``backbone_dihedrals``. Raises DataError where no angle is known in both.
    """
    difference = np.abs((first - second + 180.0) % 360.0 - 180.0)
    known = np.isfinite(difference)
    if not known.any():
        raise DataError("dihedral distance: no angle is known in both models; is the chain whole?")
    return float(difference[known].mean())


def backbone_rows(labels: Sequence[str]) -> Int[np.ndarray, "r 3"]:
    """Rows of N, CA and C of each residue that has all three, from labels "chain/residue/atom", in the given order.

    Raises DataError where there is no such residue, as for pseudo-atoms.
    """
    found: dict[str, dict[str, int]] = {}
    for row, label in enumerate(labels):
        residue, _, atom = label.rpartition("/")
        found.setdefault(residue, {}).setdefault(atom, row)
    rows = [[atoms[name] for name in ("N", "CA", "C")] for atoms in found.values() if {"N", "CA", "C"} <= atoms.keys()]
    if not rows:
        raise DataError(f"backbone: expected residues with atoms N, CA and C, found none in {len(labels)} atoms")
    return np.array(rows)
