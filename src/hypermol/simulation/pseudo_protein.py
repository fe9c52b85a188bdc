"""A built-in protein complex without any real protein: several compact chains, asymmetric and chiral.

A core carries four arms. Each arm hangs on one bond that points away from the core, and lies entirely above
the plane through that bond's foot, so that it can be turned through 360° without touching anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hypermol.errors import ConfigError
from hypermol.simulation.models import Atoms, atoms_from_chains

BOND = 3.8
"""Å between neighbours along a chain, as between the alpha carbons of a protein."""
CONTACT = 3.6
"""Å, the closest that any two pseudo-atoms come."""
VOLUME_PER_ATOM = 150.0
"""Å³ of the domain per pseudo-atom, close to a residue's share of a protein."""
SHARES = (0.40, 0.222, 0.17, 0.126, 0.082)
"""Part of all pseudo-atoms in the core and in each arm."""
CANDIDATES = 32


@dataclass(frozen=True)
class PseudoProtein:
    """``bonds[c]`` holds the rows of the two atoms that join arm ``c`` (1...4) to the core."""

    atoms: Atoms
    bonds: dict[int, tuple[int, int]]


def pseudo_protein(count: int = 1350, seed: int = 0) -> PseudoProtein:
    """A complex of five chains with ``count`` pseudo-atoms, a pure function of ``seed``.

    Chains are self-avoiding random walks of 3.8 Å steps, held in ellipsoids at the density of a protein.
    Raises ConfigError when ``count`` is too small for five chains.
    """
    if count < 100:
        raise ConfigError(f"a pseudo-protein needs at least 100 pseudo-atoms, found {count}")
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(71,)))
    sizes = _sizes(count)
    radius = [_domain_radius(size) for size in sizes]
    core = _walk(rng, sizes[0], np.zeros(3), radius[0] * np.array([1.15, 0.95, 0.9]), np.eye(3), np.zeros((0, 3)))
    chains, bonds, placed = [core], {}, core
    for arm, up in enumerate(_arm_directions(rng), start=1):
        foot = int(np.argmax(core @ up))
        frame = _frame(rng, up)
        radii = radius[arm] * np.array([1.25, 1.05, 0.75])
        first = core[foot] + BOND * up
        centre = first + 0.75 * radius[arm] * frame[0] + (radii[2] + 1.0) * up
        walk = _walk(rng, sizes[arm], centre, radii, frame, placed, first=first, floor=(up, first @ up))
        bonds[arm] = (foot, sum(len(chain) for chain in chains))
        chains.append(walk)
        placed = np.concatenate([placed, walk])
    chain = np.repeat(np.arange(len(sizes)), sizes)
    return PseudoProtein(atoms_from_chains(placed, chain).centred(), bonds)


def _sizes(count: int) -> list[int]:
    arms = [round(count * share) for share in SHARES[1:]]
    return [count - sum(arms), *arms]


def _domain_radius(size: int) -> float:
    return float((3 * size * VOLUME_PER_ATOM / (4 * np.pi)) ** (1 / 3))


def _arm_directions(rng: np.random.Generator) -> np.ndarray:
    """Four directions near the corners of a tetrahedron, each moved by up to some 10°: no symmetry is left."""
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
    moved = corners + rng.uniform(-0.12, 0.12, size=corners.shape)
    return moved / np.linalg.norm(moved, axis=1, keepdims=True)


def _frame(rng: np.random.Generator, up: np.ndarray) -> np.ndarray:
    """Right-handed rows (side, other, up) with a random side."""
    side = np.cross(up, rng.normal(size=3))
    side /= np.linalg.norm(side)
    return np.stack([side, np.cross(up, side), up])


def _walk(
    rng: np.random.Generator,
    size: int,
    centre: np.ndarray,
    radii: np.ndarray,
    frame: np.ndarray,
    placed: np.ndarray,
    first: np.ndarray | None = None,
    floor: tuple[np.ndarray, float] | None = None,
) -> np.ndarray:
    """A self-avoiding walk of ``size`` atoms inside an ellipsoid; it backs out of dead ends."""
    occupied = np.concatenate([placed, np.full((size, 3), np.inf)])
    start = len(placed)
    occupied[start] = centre if first is None else first
    done, failures = 1, 0
    while done < size:
        here = occupied[start + done - 1]
        steps = rng.normal(size=(CANDIDATES, 3))
        trial = here + BOND * steps / np.linalg.norm(steps, axis=1, keepdims=True)
        others = occupied[: start + done - 1]
        others = others[np.linalg.norm(others - here, axis=1) < BOND + CONTACT]
        free = (np.linalg.norm(trial[:, None] - others, axis=-1) > CONTACT).all(axis=1)
        if floor is not None:
            free &= trial @ floor[0] > floor[1]
        if not free.any():
            failures += 1
            back = min(done - 1, 5 + failures)
            occupied[start + done - back : start + done] = np.inf
            done -= back
            continue
        outside = np.sum(((trial @ frame.T - frame @ centre) / radii) ** 2, axis=1)
        weight = np.where(free, np.exp(-8.0 * np.maximum(outside - outside[free].min(), 0.0) * (outside > 0.8)), 0.0)
        occupied[start + done] = trial[rng.choice(CANDIDATES, p=weight / weight.sum())]
        done += 1
    return occupied[start:]
