"""Trajectories through z: along a principal component, straight between two points, and over the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hypermol.errors import ConfigError
from hypermol.landscape.components import PrincipalComponents
from hypermol.landscape.latent import Latent, subsample
from hypermol.shapes import Float, Int

GRAPH_LIMIT = 20_000
NEIGHBOURS = 10


@dataclass(frozen=True)
class Trajectory:
    """An ordered series of points in z.

    ``name`` a file name ("pc1"); ``title`` in words; ``z`` [p, d]; ``particle`` [p] the row nearest to each point
    and ``distance`` [p] how far it is in z; ``support`` [p]: that distance over the typical (95th percentile)
    distance between neighbouring particles, so that above 1 a map is more extrapolation than measurement.
    """

    name: str
    title: str
    z: Float[np.ndarray, "p d"]
    particle: Int[np.ndarray, " p"]
    distance: Float[np.ndarray, " p"]
    support: Float[np.ndarray, " p"]
    notes: tuple[str, ...] = ()

    @property
    def points(self) -> int:
        """p."""
        return len(self.z)


def component_path(
    latent: Latent,
    components: PrincipalComponents,
    component: int = 0,
    points: int = 10,
) -> Trajectory:
    """Evenly spaced points along principal component ``component`` (0-based), between the 5th and 95th percentile of
    the particles' coordinates, the others at the mean. Raises ConfigError for a component that z does not have.
    """
    if not 0 <= component < latent.dimensions:
        raise ConfigError(f"principal component {component + 1} does not exist: z has {latent.dimensions} dimension(s)")
    low, high = np.percentile(components.project(latent.z)[:, component], (5.0, 95.0))
    z = components.mean + np.linspace(low, high, points)[:, None] * components.axes[component]
    return _described(latent, f"pc{component + 1}", f"Principal component {component + 1}", z)


def straight_path(
    latent: Latent, start: np.ndarray, end: np.ndarray, points: int = 10, name: str = "straight", title: str = ""
) -> Trajectory:
    """Evenly spaced points on the line from z ``start`` [d] to ``end`` [d]."""
    start, end = np.asarray(start, float), np.asarray(end, float)
    if start.shape != (latent.dimensions,) or end.shape != start.shape:
        raise ConfigError(f"a path needs two points of {latent.dimensions} numbers, found {start.shape}, {end.shape}")
    fraction = np.linspace(0.0, 1.0, points)[:, None]
    return _described(latent, name, title or "Straight line in z", (1 - fraction) * start + fraction * end)


def graph_path(
    latent: Latent,
    start: int,
    end: int,
    points: int = 10,
    neighbours: int = NEIGHBOURS,
    seed: int = 0,
    name: str = "graph",
    title: str = "",
) -> Trajectory:
    """The shortest way between two particles (rows) over the graph of nearest neighbours (Dijkstra 1959).

    An edge costs its length squared, so that the way keeps to where particles are many instead of cutting a bend over
    a few stray ones (Hwang, Damelin & Hero 2016, Ann. Appl. Probab. 26:2791); it is resampled evenly by length, so
    every point lies between neighbouring particles. At most 20,000 particles carry the graph. Where the data fall into
    pieces, more neighbours are joined until the two are connected; a note says so. Raises ConfigError for a row
    without z.
    """
    ends = [_position(latent, start), _position(latent, end)]
    chosen = np.union1d(subsample(latent.size, GRAPH_LIMIT, seed), ends)
    nodes = latent.z[chosen]
    source, target = np.searchsorted(chosen, ends)
    way, used = _shortest(nodes, int(source), int(target), neighbours)
    notes: tuple[str, ...] = ()
    if used > neighbours:
        notes = (
            f"The two ends are in separate groups; {used} neighbours per particle (not {neighbours}) join them, "
            "so a part of this path crosses a gap without particles.",
        )
    return _described(latent, name, title or "Over the data", _resample(nodes[way], points), notes)


def farthest_apart(
    latent: Latent, rows: Int[np.ndarray, " k"], neighbours: int = NEIGHBOURS, seed: int = 0
) -> tuple[int, int]:
    """Which two (places in ``rows``, increasing) of some particles have the longest shortest way between them over the
    graph of neighbours: the ends of a curved cloud, which need not be those of any straight axis. Pairs that are in
    separate groups do not count, unless all are: then the first and the last."""
    from scipy.sparse.csgraph import dijkstra

    places = [_position(latent, int(row)) for row in rows]
    chosen = np.union1d(subsample(latent.size, GRAPH_LIMIT, seed), places)
    sources = np.searchsorted(chosen, places)
    length = dijkstra(_graph(latent.z[chosen], neighbours), directed=False, indices=sources)[:, sources]
    length = np.where(np.isfinite(length), length, -1.0)
    if length.max() <= 0:
        return 0, len(rows) - 1
    first, last = sorted(np.unravel_index(int(length.argmax()), length.shape))
    return int(first), int(last)


def resampled_path(latent: Latent, corners: Float[np.ndarray, "c d"], points: int, name: str, title: str) -> Trajectory:
    """``points`` evenly spaced by length along a polyline in z."""
    return _described(latent, name, title, _resample(corners, points))


def _position(latent: Latent, row: int) -> int:
    position = int(np.searchsorted(latent.row, row))
    if position >= latent.size or latent.row[position] != row:
        raise ConfigError(f"particle {row} has no finite z (rows 0 to {latent.count - 1}); choose another")
    return position


def _shortest(nodes: Float[np.ndarray, "n d"], source: int, target: int, neighbours: int) -> tuple[list[int], int]:
    from scipy.sparse.csgraph import dijkstra

    while True:
        used = min(neighbours, len(nodes) - 1)
        costs = _graph(nodes, used).power(2)
        total, before = dijkstra(costs, directed=False, indices=source, return_predecessors=True)
        if np.isfinite(total[target]):
            return _walk_back(before, source, target), used
        neighbours = 2 * neighbours


def _graph(nodes: Float[np.ndarray, "n d"], neighbours: int) -> Any:
    """Distances to the nearest neighbours as a sparse matrix."""
    from scipy.sparse import csr_matrix
    from scipy.spatial import cKDTree

    size, used = len(nodes), min(neighbours, len(nodes) - 1)
    distance, index = cKDTree(nodes).query(nodes, k=range(1, used + 2), workers=-1)
    # coincident particles: a length of exactly zero would be taken for no edge
    length = np.maximum(distance, 1e-12).ravel()
    return csr_matrix((length, (np.repeat(np.arange(size), used + 1), index.ravel())), shape=(size, size))


def _walk_back(before: Int[np.ndarray, " n"], source: int, target: int) -> list[int]:
    way = [target]
    while way[-1] != source:
        way.append(int(before[way[-1]]))
    return way[::-1]


def _resample(corners: Float[np.ndarray, "c d"], points: int) -> Float[np.ndarray, "p d"]:
    """Evenly spaced by length along the polyline ``corners``."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
    at = np.linspace(0.0, length[-1], points)
    return np.stack([np.interp(at, length, column) for column in corners.T], axis=1)


def nearest_particles(
    latent: Latent, z: Float[np.ndarray, "p d"]
) -> tuple[Int[np.ndarray, " p"], Float[np.ndarray, " p"], Float[np.ndarray, " p"]]:
    """The row nearest to each point, how far it is in z, and that distance over the typical one between neighbouring
    particles (``Trajectory.support``)."""
    from scipy.spatial import cKDTree

    tree = cKDTree(latent.z)
    distance, index = tree.query(z)
    typical = _typical_gap(latent, tree)
    return latent.row[index], distance, distance / typical if typical > 0 else np.zeros_like(distance)


def _described(
    latent: Latent, name: str, title: str, z: Float[np.ndarray, "p d"], notes: tuple[str, ...] = ()
) -> Trajectory:
    particle, distance, support = nearest_particles(latent, z)
    far = np.flatnonzero(support > 1.0)
    if far.size:
        words = ", ".join(map(str, far))
        notes = (
            *notes,
            f"No particle lies near map{'s' if far.size > 1 else ''} {words} of this path: "
            "what the model shows there is extrapolated.",
        )
    return Trajectory(name, title, z, particle, distance, support, notes)


def _typical_gap(latent: Latent, tree: object) -> float:
    """95th percentile of the distance from a particle to its fifth neighbour, from at most 2,000 particles."""
    near = min(5, latent.size - 1)
    if near < 1:
        return 0.0
    probe = latent.z[subsample(latent.size, 2000, 0)]
    return float(np.percentile(tree.query(probe, k=near + 1)[0][:, -1], 95))  # type: ignore[attr-defined]
