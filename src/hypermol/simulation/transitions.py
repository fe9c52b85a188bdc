"""A transition: models of the same atoms, one after the other."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from hypermol.simulation.models import Atoms
from hypermol.simulation.populations import STATES_OF_A_CONTINUUM, in_shares, shares_of

MOVES = 1 / 3
"""Atoms whose largest displacement reaches this part of the largest of all count as moving."""


@dataclass(frozen=True)
class Transition:
    """Models of the same atoms along a transition; the coordinate runs from 0 (the first) to 1 (the last).

    Frames stand at equal steps of the coordinate, positions between two neighbours are linear. model: the atoms, at
    the first frame. frames: [F, n, 3] Å. levels: conformations at that many equal steps, 0 for a continuum, uniform.
    populations: shares of the levels; empty for equal ones.
    """

    model: Atoms
    frames: np.ndarray
    levels: int = 0
    populations: tuple[float, ...] = ()

    @property
    def dim(self) -> int:
        return 1

    @property
    def circular(self) -> bool:
        return False

    @property
    def continuous(self) -> bool:
        return self.levels == 0

    @property
    def moving(self) -> np.ndarray:
        """Boolean [n]: atoms that take part in the transition, by MOVES; in a trajectory every atom moves a little."""
        reach = np.linalg.norm(self.frames - self.frames[0], axis=-1).max(axis=0)
        return reach >= MOVES * reach.max()

    @property
    def shares(self) -> np.ndarray:
        """[K]: the part of the particles in each state."""
        return shares_of(self.populations, len(self.states()))

    def steps(self, count: int) -> np.ndarray:
        """``count`` places at equal steps, both ends included."""
        return np.linspace(0.0, 1.0, count)

    def states(self) -> np.ndarray:
        """[K, 1]: every level, or evenly spaced places that stand for a continuum."""
        return self.steps(self.levels or STATES_OF_A_CONTINUUM)[:, None]

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Conformations [n, 1] and states [n]."""
        states = self.states()
        if not self.continuous:
            state = in_shares(n, self.populations, len(states), rng)
            return states[state], state
        place = rng.uniform(0.0, 1.0, size=(n, 1))
        return place, np.abs(place - states[:, 0]).argmin(axis=1).astype(np.int64)

    def points(self, conformation: np.ndarray, state: np.ndarray) -> np.ndarray:
        """The places themselves, [n, 1]."""
        return conformation

    def atoms(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions [m, n, 3] Å and weights [m, n] at places [m, 1]."""
        along = np.clip(points[:, 0], 0.0, 1.0) * (len(self.frames) - 1)
        before = np.minimum(along.astype(np.int64), len(self.frames) - 2)
        part = (along - before)[:, None, None]
        positions = (1 - part) * self.frames[before] + part * self.frames[before + 1]
        return positions, np.broadcast_to(self.model.weight, positions.shape[:2])


def transition_through(models: tuple[Atoms, ...], levels: int, populations: tuple[float, ...]) -> Transition:
    """The transition through models of the same atoms, about their common centre of mass."""
    frames = np.stack([model.coordinates for model in models])
    frames = frames - np.mean([np.average(f, axis=0, weights=models[0].weight) for f in frames], axis=0)
    return Transition(dataclasses.replace(models[0], coordinates=frames[0]), frames, levels, populations)
