"""States as basins of the free energy, their populations, and the way of lowest energy between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hypermol.errors import DataError
from hypermol.landscape.density import Density
from hypermol.shapes import Float, Int

BARRIER = 1.0
"""kT: the least by which a basin must lie below its way out; and by twice the error bar of that difference."""

SMALLEST = 0.005
"""Of the particles: a basin with less is no state."""


@dataclass(frozen=True)
class States:
    """Regions of a density. label [G] (-1: where next to nothing was seen); lowest [k] the node of highest density of
    each; population [k] their shares of what is in some state, and error [k] over the bootstrap samples.
    Largest first."""

    label: Int[np.ndarray, " g"]
    lowest: Int[np.ndarray, " k"]
    population: Float[np.ndarray, " k"]
    error: Float[np.ndarray, " k"]

    @property
    def count(self) -> int:
        """k."""
        return len(self.lowest)


def basins(density: Density, barrier: float = BARRIER) -> States:
    """Basins of -ln ρ: each node belongs to the minimum that it runs down to; two basins are one where the way out of
    the shallower is less than ``barrier`` kT, or twice its error, above its bottom (merging by persistence:
    Edelsbrunner, Letscher & Zomorodian 2002)."""
    order = np.argsort(-density.value, kind="stable")
    order = order[density.seen[order]]
    top: dict[int, int] = {}
    place = np.full(len(density.value), -1, dtype=np.int64)
    draws, value = -density.energy_of(density.draws), -density.free_energy()
    for node in order:
        around = {_root(top, int(place[n])) for n in _neighbours(density.grid.shape, int(node)) if place[n] >= 0}
        if not around:
            place[node] = node
            top[int(node)] = int(node)
            continue
        ranked = sorted(around, key=lambda peak: -value[peak])
        place[node] = ranked[0]
        for peak in ranked[1:]:
            height = value[peak] - value[node]
            spread = (draws[:, peak] - draws[:, node]).var() if len(draws) else 0.0
            error = (spread + density.bias[peak] ** 2 + density.bias[node] ** 2) ** 0.5
            if height < max(barrier, 2 * error):
                top[peak] = ranked[0]
    label = np.array([-1 if p < 0 else _root(top, int(p)) for p in place])
    return _described(density, label)


def nearest_states(density: Density, centre: Float[np.ndarray, "k d"]) -> States:
    """The nodes nearest to each given centre (in u); kept in the order given. Raises DataError where a centre has no
    node of its own that was seen."""
    distance = np.linalg.norm(density.grid.points[:, None] - centre, axis=2)
    label = np.where(density.seen, distance.argmin(axis=1), -1)
    missing = [number for number in range(len(centre)) if not (label == number).any()]
    if missing:
        raise DataError(f"no conformations are seen around centre {missing[0]} at {centre[missing[0]].tolist()}")
    lowest = [np.flatnonzero(label == k)[density.value[label == k].argmax()] for k in range(len(centre))]
    share, error = _populations(density, label, np.arange(len(centre)))
    return States(label, np.array(lowest), share, error)


@dataclass(frozen=True)
class EnergyPath:
    """u [p, k] from one state to another; energy [p] (kT, above the lowest of all) and error [p] of -ln ρ there
    against the path's beginning; barrier: highest above the beginning, barrier_error; at_least: whether the path
    crosses places where nothing is seen, so that the barrier is only bounded from below."""

    u: Float[np.ndarray, "p k"]
    energy: Float[np.ndarray, " p"]
    error: Float[np.ndarray, " p"]
    barrier: float
    barrier_error: float
    at_least: bool


def lowest_energy_path(density: Density, start: int, end: int) -> EnergyPath:
    """Between two nodes the way with the least ∫ exp(F/kT) ds, which carries most of a diffusive flux (Berkowitz,
    Morgan, McCammon & Northrup 1983, J. Chem. Phys. 79:5563), over nodes and their diagonal neighbours (Dijkstra)."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import dijkstra

    grid, count = density.grid, len(density.value)
    cost = np.exp(density.free_energy())
    unit = grid.points / np.maximum(np.ptp(grid.points, axis=0), 1e-30)  # axes of z have no common unit
    rows, columns = _pairs(grid.shape)
    length = np.linalg.norm(unit[rows] - unit[columns], axis=1) * (cost[rows] + cost[columns]) / 2
    graph = coo_matrix((length, (rows, columns)), shape=(count, count)).tocsr()
    _, before = dijkstra(graph, directed=False, indices=start, return_predecessors=True)
    way = [end]
    while way[-1] != start:
        way.append(int(before[way[-1]]))
    way = way[::-1]
    energy = density.free_energy()[way]
    draws = density.energy_of(density.draws)[:, way]
    relative = draws - draws[:, :1] - (energy - energy[0])
    bias = density.bias[way] ** 2 + np.where(np.arange(len(way)) > 0, density.bias[start] ** 2, 0.0)
    error = np.sqrt((relative**2).mean(axis=0) + bias) if len(draws) else np.sqrt(bias)
    top = int(energy.argmax())
    bounded = not density.seen[way].all()
    return EnergyPath(grid.points[way], energy, error, float(energy[top] - energy[0]), float(error[top]), bounded)


def _described(density: Density, label: np.ndarray) -> States:
    peaks = np.unique(label[label >= 0])
    share, _ = _populations(density, label, peaks)
    peaks = peaks[np.argsort(-share, kind="stable")][: max(1, int((share >= SMALLEST).sum()))]
    share, error = _populations(density, label, peaks)
    numbered = np.full(len(label), -1, dtype=np.int64)
    for number, peak in enumerate(peaks):
        numbered[label == peak] = number
    return States(numbered, peaks, share, error)


def _populations(density: Density, label: np.ndarray, names: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    def shares(value: np.ndarray) -> np.ndarray:
        parts = np.stack([value[..., label == name].sum(axis=-1) for name in names], -1)
        return parts / parts.sum(axis=-1, keepdims=True)

    error = shares(density.draws).std(axis=0) if len(density.draws) else np.zeros(len(names))
    return shares(density.value), error


def _root(top: dict[int, int], peak: int) -> int:
    while top[peak] != peak:
        peak = top[peak]
    return peak


def _offsets(dimensions: int) -> list[tuple[int, ...]]:
    return [step for step in np.ndindex(*(3,) * dimensions) if step != (1,) * dimensions]


def _neighbours(shape: tuple[int, ...], node: int) -> list[int]:
    at = np.array(np.unravel_index(node, shape))
    near = [at + np.array(step) - 1 for step in _offsets(len(shape))]
    inside = [place for place in near if (place >= 0).all() and (place < shape).all()]
    return [int(np.ravel_multi_index(tuple(place), shape)) for place in inside]


def _pairs(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Each node with each neighbour that follows it."""
    nodes = np.arange(np.prod(shape)).reshape(shape)
    rows, columns = [], []
    for step in _offsets(len(shape)):
        if step > (1,) * len(shape):
            here = tuple(slice(max(0, 1 - s), n - max(0, s - 1)) for s, n in zip(step, shape))
            there = tuple(slice(max(0, s - 1), n - max(0, 1 - s)) for s, n in zip(step, shape))
            rows.append(nodes[here].ravel())
            columns.append(nodes[there].ravel())
    return np.concatenate(rows), np.concatenate(columns)
