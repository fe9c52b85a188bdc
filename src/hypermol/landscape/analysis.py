"""The whole analysis of z in one call, and its result."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hypermol.landscape.clusters import (
    Clusters,
    class_clusters,
    density_clusters,
    ends_of_a_curve,
    kmeans_clusters,
    no_clusters,
)
from hypermol.landscape.components import PrincipalComponents, own_components, principal_components
from hypermol.landscape.embedding import Embedding, embed
from hypermol.landscape.energy import ROOM_TEMPERATURE, EnergyLandscape, energy_landscape, energy_trajectory
from hypermol.landscape.latent import Latent, check_latent
from hypermol.landscape.leakage import Leakage, measure_leakage
from hypermol.landscape.paths import Trajectory, component_path, farthest_apart, graph_path, straight_path
from hypermol.shapes import Float

BENT_ENERGY = (
    "These free energies are over a component that follows a curve: basins at its ends and the barrier between them "
    "are those of z, which hardly changes there, and say nothing of states."
)
PATHS = ("graph", "pc1", "pc2", "straight")


@dataclass(frozen=True)
class LandscapeSettings:
    """``clusters`` k of k-means, where the run has no classes of its own; ``points`` per path; ``paths`` any of graph,
    pc1, pc2, …, straight; ``temperature`` (K) of the free energies; ``seed``."""

    clusters: int = 10
    points: int = 10
    paths: tuple[str, ...] = PATHS
    seed: int = 0
    temperature: float = ROOM_TEMPERATURE


@dataclass(frozen=True)
class Landscape:
    """What z says. Per-particle arrays are in the order of the input, NaN (or label -1) where there is no z.

    ``z`` [N, d]; ``coordinates`` [N, d] along the principal components; ``clusters`` by k-means, or the classes of the
    run; ``density`` groups by density; ``embedding`` [N, 2] or None; ``notes``
    sentences about what is odd or was not done, ``leakage_notes`` those about leakage that was not measured;
    ``warnings`` those that a reader must not miss; ``energy`` the free energies, where the method states how uncertain
    each z is.
    """

    z: Float[np.ndarray, "N d"]
    components: PrincipalComponents
    coordinates: Float[np.ndarray, "N d"]
    clusters: Clusters
    density: Clusters
    embedding: Float[np.ndarray, "N 2"] | None
    paths: tuple[Trajectory, ...]
    leakage: tuple[Leakage, ...]
    notes: tuple[str, ...]
    seed: int
    energy: EnergyLandscape | None = None
    leakage_notes: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Clear leakage, in sentences."""
        return tuple(item.sentence for item in self.leakage if item.verdict == "clear")

    def path(self, name: str) -> Trajectory:
        """The trajectory called ``name``. Raises KeyError with the names there are."""
        for path in self.paths:
            if path.name == name:
                return path
        raise KeyError(f"no path {name!r}; there are: {', '.join(path.name for path in self.paths)}")


def analyze(
    z: np.ndarray,
    rotation: Float[np.ndarray, "N 3 3"] | None = None,
    defocus: Float[np.ndarray, " N"] | None = None,
    micrograph: np.ndarray | None = None,
    contrast: Float[np.ndarray, " N"] | None = None,
    settings: LandscapeSettings | None = None,
    covariance: Float[np.ndarray, "N d d"] | None = None,
    posterior_mean: Float[np.ndarray, "N d"] | None = None,
    amplitude: Float[np.ndarray, " d"] | None = None,
    class_probability: Float[np.ndarray, "N k"] | None = None,
    curved: bool = False,
) -> Landscape:
    """Principal components, clusters, picture, paths, free energies and leakage of z [N] or [N, d].

    ``rotation`` (molecule to microscope), ``defocus`` (Å), ``micrograph`` (labels) and ``contrast`` are per particle,
    used for leakage only, and may be absent; ``covariance`` is that of each particle's posterior of z under a normal
    prior, and ``posterior_mean`` its mean where z is another estimate; ``amplitude``: see ``own_components``.
    ``class_probability``: the posterior of the classes that z places (``class_clusters``); then the classes are the
    clusters, and neither density nor free energies say anything. ``curved``: whether z is one component of a motion
    that curves (``reconstruction.bend``), so that two dense places are no states. The same input and seed give the
    same result.
    Raises DataError when no z is finite or a column has another length than z, ConfigError for impossible settings.
    """
    settings = settings or LandscapeSettings()
    _check_settings(settings)
    latent = check_latent(z)
    columns = {"rotation": rotation, "defocus": defocus, "micrograph": micrograph, "contrast": contrast}
    _check_lengths(latent.count, {**columns, "z_covariance": covariance, "class_probability": class_probability})
    components = principal_components(latent) if amplitude is None else own_components(latent, amplitude)
    asked, energy = latent, None
    energy_notes: tuple[str, ...] = ()
    if class_probability is None:
        clusters = kmeans_clusters(latent, components, settings.clusters, settings.seed)
        learned = None if posterior_mean is None or covariance is None else (posterior_mean, covariance)
        density = density_clusters(latent, components, settings.seed, learned)
        if curved:
            density = ends_of_a_curve(latent, components, density)
        embedding = embed(latent, settings.seed)
        paths, path_notes = _paths(latent, components, clusters, settings)
        energy, energy_notes = energy_landscape(
            latent, components, covariance, settings.temperature, settings.seed, posterior_mean
        )
    else:
        clusters, density = class_clusters(latent, class_probability), no_clusters(latent, components)
        embedding = Embedding(None)
        paths, path_notes = _between_classes(latent, clusters, settings.points)
        asked = _drawn_classes(latent, clusters, class_probability, settings.seed)
    if energy is not None:
        way = energy_trajectory(latent, components, energy, settings.points)
        paths, energy_notes = (*paths, *([way] if way else [])), (*energy.notes, *([BENT_ENERGY] if curved else []))
    leakage, leakage_notes = measure_leakage(asked, **columns, seed=settings.seed)
    parts = (latent.notes, clusters.notes, density.notes, embedding.notes, path_notes, energy_notes)
    whole = latent.scatter(latent.z)
    return Landscape(
        z=whole,
        components=components,
        coordinates=components.project(whole),
        clusters=clusters,
        density=density,
        embedding=embedding.coordinates,
        paths=paths,
        leakage=leakage,
        notes=tuple(note for part in parts for note in part),
        seed=settings.seed,
        energy=energy,
        leakage_notes=leakage_notes,
    )


def _check_settings(settings: LandscapeSettings) -> None:
    from hypermol.errors import ConfigError

    if settings.clusters < 1:
        raise ConfigError(f"clusters = {settings.clusters}: expected at least 1")
    if settings.points < 2:
        raise ConfigError(f"points = {settings.points}: a path needs at least 2")
    if not 0 < settings.temperature < float("inf"):
        raise ConfigError(f"temperature = {settings.temperature}: expected kelvin above 0")


def _check_lengths(count: int, columns: dict[str, np.ndarray | None]) -> None:
    from hypermol.errors import DataError

    wrong = [
        f"{name}: {len(column)}" for name, column in columns.items() if column is not None and len(column) != count
    ]
    if wrong:
        raise DataError(f"z has {count} particles, but other columns have other lengths ({', '.join(wrong)})")


def _paths(
    latent: Latent, components: PrincipalComponents, clusters: Clusters, settings: LandscapeSettings
) -> tuple[tuple[Trajectory, ...], tuple[str, ...]]:
    """The paths asked for. Straight and graph run between the two k-means centres that are farthest apart over the
    data; in one dimension all coincide, so that only the first component is walked."""
    if latent.constant:
        return (), ("No path was walked: z is the same for all particles.",)
    names = settings.paths if latent.dimensions > 1 else ("pc1",)
    first, last = farthest_apart(latent, clusters.particle, seed=settings.seed)
    ends = (int(clusters.particle[first]), int(clusters.particle[last]))
    between = f"(cluster {first} to {last})"
    found = []
    for name in names:
        if name == "graph":
            title = f"Over the data {between}"
            found.append(graph_path(latent, *ends, settings.points, seed=settings.seed, title=title))
        elif name == "straight":
            title = f"Straight line {between}"
            centres = clusters.centre[first], clusters.centre[last]
            found.append(straight_path(latent, *centres, settings.points, title=title))
        elif _component(name) < latent.dimensions:
            found.append(component_path(latent, components, _component(name), settings.points))
    return tuple(found), ()


def _between_classes(latent: Latent, classes: Clusters, points: int) -> tuple[tuple[Trajectory, ...], tuple[str, ...]]:
    """One path: between the two classes whose maps differ most."""
    if latent.constant:
        return (), ("No path was walked: z is the same for all particles.",)
    apart = np.linalg.norm(classes.centre[:, None] - classes.centre, axis=2)
    first, last = sorted(divmod(int(apart.argmax()), classes.count))
    title = f"From {classes.name(first)} to {classes.name(last)}, mixed"
    return (straight_path(latent, classes.centre[first], classes.centre[last], points, title=title),), ()


def _drawn_classes(latent: Latent, classes: Clusters, probability: Float[np.ndarray, "N k"], seed: int) -> Latent:
    """z of a class drawn from each particle's posterior. The mean over a posterior follows whatever says how noisy an
    image is: where it tells little, particles lie between the classes."""
    below = np.cumsum(probability[latent.row], axis=1)[:, :-1]
    drawn = (np.random.default_rng(seed).random((latent.size, 1)) > below).sum(axis=1)
    return Latent(classes.centre[drawn], latent.row, latent.count)


def _component(name: str) -> int:
    """0 for "pc1" and so on. Raises ConfigError for other words."""
    from hypermol.errors import ConfigError

    if not (name.startswith("pc") and name[2:].isdigit() and int(name[2:]) > 0):
        raise ConfigError(f"unknown path {name!r}: expected graph, straight, pc1, pc2, …")
    return int(name[2:]) - 1
