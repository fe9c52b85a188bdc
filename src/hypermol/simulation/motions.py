"""Motions: from a conformation (its coordinates in physical units) to the positions of all atoms.

A motion is one of three kinds. ``Turns``: rigid parts turned about fixed lines, one angle in degrees each.
``Arrangements``: a list of whole models, without coordinates. ``Transition``: models of the same atoms, one after
the other. What picks one shape is a *point*: the angles, the number of the model, the place along the path. All
answer the same questions, and everything else is written against these:

    dim                           d, coordinates of a conformation
    continuous, circular          whether any value may occur; whether an angle closes
    draw(n, rng)                  conformations [n, d] and states [n] of n particles
    shares                        [K], the part of the particles in each state (equal where none were given)
    steps(count)                  values of the one coordinate at equal steps over its range (d = 1)
    points(conformation, state)   [n, q], what picks each particle's shape
    states()                      [K, q], the point of each state
    atoms(points)                 positions [m, n, 3] Å and weights [m, n] at points [m, q]
    moving                        [n] boolean, atoms that move at all
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from hypermol.imaging.rotations import rotvec_to_matrix
from hypermol.simulation.models import Atoms
from hypermol.simulation.populations import STATES_OF_A_CONTINUUM, in_shares, shares_of
from hypermol.simulation.transitions import Transition


@dataclass(frozen=True)
class Turn:
    """One part of a model, turned by an angle about a line; positive is right-handed about ``axis``.

    moving: [n] boolean. pivot: [3] Å, a point of the line. axis: [3], a unit vector. range_deg: (low, high).
    """

    moving: np.ndarray
    pivot: np.ndarray
    axis: np.ndarray
    range_deg: tuple[float, float]

    @property
    def circular(self) -> bool:
        return self.range_deg[1] - self.range_deg[0] >= 360.0

    def steps(self, count: int) -> np.ndarray:
        """``count`` angles at equal steps: both ends included, or once round the circle."""
        return np.linspace(*self.range_deg, count, endpoint=not self.circular)

    def apply(self, positions: np.ndarray, angle_deg: np.ndarray) -> None:
        """Turn the moving part of positions [m, n, 3] by angle_deg [m], in place."""
        rotation = rotvec_to_matrix(torch.from_numpy(np.deg2rad(angle_deg)[:, None] * self.axis)).numpy()
        part = positions[:, self.moving] - self.pivot
        positions[:, self.moving] = part @ rotation.transpose(0, 2, 1) + self.pivot


@dataclass(frozen=True)
class Turns:
    """Parts of a model turned independently: none (a rigid molecule), one angle, or two.

    levels: conformations at that many equal steps along each angle, the others at 0 (the models of
    Zhong et al. 2020, appendix C); 0 means continuous and uniform over the whole range of every angle.
    populations: shares of those conformations; empty for equal ones.
    """

    model: Atoms
    turns: tuple[Turn, ...]
    levels: int = 0
    populations: tuple[float, ...] = ()

    @property
    def dim(self) -> int:
        return len(self.turns)

    @property
    def circular(self) -> bool:
        return any(turn.circular for turn in self.turns)

    @property
    def continuous(self) -> bool:
        return self.dim > 0 and self.levels == 0

    @property
    def moving(self) -> np.ndarray:
        """Boolean [n]: atoms that move at all."""
        moving = np.zeros(self.model.count, dtype=bool)
        for turn in self.turns:
            moving |= turn.moving
        return moving

    def states(self) -> np.ndarray:
        """[K, d] degrees: every model, or evenly spaced ones that stand for a continuum."""
        if self.dim == 0:
            return np.zeros((1, 0))
        count = self.levels or STATES_OF_A_CONTINUUM
        states = np.zeros((self.dim, count, self.dim))
        for index, turn in enumerate(self.turns):
            states[index, :, index] = turn.steps(count)
        return states.reshape(-1, self.dim)

    @property
    def shares(self) -> np.ndarray:
        """[K]: the part of the particles in each state."""
        return shares_of(self.populations, len(self.states()))

    def steps(self, count: int) -> np.ndarray:
        """``count`` angles at equal steps over the range of the one turn."""
        return self.turns[0].steps(count)

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Conformations [n, d] in degrees and states [n]; levels are filled to their shares, in random order."""
        states = self.states()
        if not self.continuous:
            state = in_shares(n, self.populations, len(states), rng)
            return states[state], state
        low, high = np.array([turn.range_deg for turn in self.turns]).T
        conformation = rng.uniform(low, high, size=(n, self.dim))
        return conformation, self.nearest_state(conformation)

    def nearest_state(self, conformation: np.ndarray) -> np.ndarray:
        """Index [n] of the state closest to conformations [n, d], round the circle where there is one."""
        gap = conformation[:, None] - self.states()[None]
        for index, turn in enumerate(self.turns):
            if turn.circular:
                gap[..., index] = (gap[..., index] + 180.0) % 360.0 - 180.0
        return np.argmin(np.sum(gap**2, axis=-1), axis=1).astype(np.int64)

    def points(self, conformation: np.ndarray, state: np.ndarray) -> np.ndarray:
        """The angles themselves, [n, d]."""
        return conformation

    def atoms(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions [m, n, 3] Å and weights [m, n] at angles [m, d] in degrees."""
        positions = np.repeat(self.model.coordinates[None], len(points), axis=0)
        for index, turn in enumerate(self.turns):
            turn.apply(positions, points[:, index])
        return positions, np.broadcast_to(self.model.weight, positions.shape[:2])


@dataclass(frozen=True)
class Arrangements:
    """A list of whole models, each a state; there is no coordinate between them, so d = 0. populations: their shares,
    empty for equal ones."""

    models: tuple[Atoms, ...]
    populations: tuple[float, ...] = ()

    @property
    def dim(self) -> int:
        return 0

    @property
    def circular(self) -> bool:
        return False

    @property
    def continuous(self) -> bool:
        return False

    @property
    def size(self) -> int:
        return max(model.count for model in self.models)

    @property
    def moving(self) -> np.ndarray:
        return np.ones(self.size, dtype=bool)

    def states(self) -> np.ndarray:
        """[K, 1]: 0, 1, ..."""
        return np.arange(len(self.models), dtype=np.float64)[:, None]

    @property
    def shares(self) -> np.ndarray:
        """[K]: the part of the particles in each state."""
        return shares_of(self.populations, len(self.models))

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Conformations [n, 0] and states [n]: the models in their shares, in random order."""
        return np.zeros((n, 0)), in_shares(n, self.populations, len(self.models), rng)

    def points(self, conformation: np.ndarray, state: np.ndarray) -> np.ndarray:
        """The number of each particle's model, [n, 1]."""
        return state[:, None].astype(np.float64)

    def atoms(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions [m, n, 3] Å and weights [m, n] of the models with the numbers [m, 1]; weight 0 pads models
        with fewer atoms."""
        position, weight = self._padded
        chosen = np.rint(points[:, 0]).astype(np.int64)
        return position[chosen], weight[chosen]

    @cached_property
    def _padded(self) -> tuple[np.ndarray, np.ndarray]:
        position = np.zeros((len(self.models), self.size, 3))
        weight = np.zeros((len(self.models), self.size))
        for index, model in enumerate(self.models):
            position[index, : model.count] = model.coordinates
            weight[index, : model.count] = model.weight
        return position, weight


Motion = Turns | Arrangements | Transition
