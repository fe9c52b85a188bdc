"""Groups of particles in z: the classes of a run that has some, else k-means; and groups by density (HDBSCAN)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch

from hypermol.conformations import SEPARATE, STATES_BETWEEN, crossed_means, density_groups
from hypermol.landscape.components import PrincipalComponents
from hypermol.landscape.latent import Latent
from hypermol.shapes import Float, Int

BETWEEN = 0.3
"""Share of the particles that may lie between separate groups in z as it is, blurred; ``STATES_BETWEEN`` where the blur
is known and taken off."""
CLASSES = "classes"
CURVE = (
    "z has two dense places, but they are no separate states: maps between them are no mixtures of the two. The motion "
    "curves, and its one component hardly changes at the ends, where z crowds."
)


@dataclass(frozen=True)
class Clusters:
    """Groups of particles, numbered along the first principal component of z, or classes as the run numbers them.

    ``label`` [N] (-1: in no group, or no z); ``particle`` [k] the row nearest to each group's mean; ``centre``
    [k, d] the z of that particle, hence on the data, or that of the class itself; ``size`` [k] particles;
    ``considered`` particles with a z; ``notes`` in words; ``between``: the share of them that may lie between separate
    groups.
    """

    method: str
    label: Int[np.ndarray, " N"]
    particle: Int[np.ndarray, " k"]
    centre: Float[np.ndarray, "k d"]
    size: Int[np.ndarray, " k"]
    considered: int
    notes: tuple[str, ...] = ()
    between: float = BETWEEN

    @property
    def count(self) -> int:
        """k."""
        return len(self.particle)

    @property
    def of_classes(self) -> bool:
        """Whether these are the classes of the run and not regions of z."""
        return self.method == CLASSES

    @property
    def kind(self) -> str:
        """What a group is called: class or cluster."""
        return "class" if self.of_classes else "cluster"

    @property
    def first(self) -> int:
        """The number of the first group, for people: clusters count from 0, classes from 1 (class-1.mrc)."""
        return 1 if self.of_classes else 0

    def name(self, number: int) -> str:
        """What the group in place ``number`` is called: "cluster 0", "class 1"."""
        return f"{self.kind} {number + self.first}"

    @property
    def outside(self) -> float:
        """Share of the particles with a z that are in no group."""
        known = self.size.sum()
        return 1.0 - known / self.considered if self.considered else 0.0

    @property
    def separate(self) -> bool:
        """Whether the groups are apart: two or more, with few particles between them."""
        return self.count > 1 and self.outside < self.between


def kmeans_clusters(latent: Latent, components: PrincipalComponents, k: int = 10, seed: int = 0) -> Clusters:
    """k-means in z (Lloyd 1982, k-means++ starts), with the particle nearest to each mean as its centre.

    Fewer than ``k`` groups come back when there are fewer distinct z. Regions of one cloud, not proof of states.
    """
    from sklearn.cluster import KMeans

    distinct = np.unique(latent.z, axis=0).shape[0] if latent.size < 10_000 else k
    used = 1 if latent.constant else max(1, min(k, distinct))
    model = KMeans(used, n_init=3, random_state=seed).fit(latent.z)
    notes = () if used == k else (f"Only {used} of {k} k-means groups: z has too few distinct values for more.",)
    return _described("k-means", latent, components, model.labels_.astype(np.int64), notes)


def class_clusters(latent: Latent, probability: Float[np.ndarray, "N k"]) -> Clusters:
    """The k classes of a run, each particle in its most probable one.

    The z of a particle is the mean of the classes' own z over its posterior ``probability``, which gives those back as
    centres by least squares.
    """
    own = probability[latent.row].astype(np.float64)
    centre = np.linalg.lstsq(own, latent.z, rcond=1e-6)[0]  # a class that nobody is in has none: zero
    label = own.argmax(axis=1)
    distance = np.linalg.norm(latent.z[:, None] - centre, axis=2)
    nearest = distance.argmin(axis=0)
    return Clusters(
        method=CLASSES,
        label=latent.scatter(label, fill=-1),
        particle=latent.row[nearest],
        centre=centre,
        size=np.bincount(label, minlength=len(centre)),
        considered=latent.size,
        notes=(
            "The groups are the classes of the run, each particle in its most probable one; z places them by how alike "
            "their maps are. Maps between two classes are mixtures of theirs, no motion that the particles showed.",
        ),
    )


def no_clusters(latent: Latent, components: PrincipalComponents) -> Clusters:
    """No groups by density: where classes are given, z crowds at them whatever the particles do."""
    return _described("HDBSCAN", latent, components, np.full(latent.size, -1, dtype=np.int64), ())


def ends_of_a_curve(latent: Latent, components: PrincipalComponents, found: Clusters) -> Clusters:
    """``found`` of z along one component that follows a curve (``reconstruction.bend``): where it has two groups, none,
    as those are where z crowds at the ends."""
    if found.count != 2:
        return found
    return _described("HDBSCAN", latent, components, np.full(latent.size, -1, dtype=np.int64), (CURVE,))


def density_clusters(
    latent: Latent,
    components: PrincipalComponents,
    seed: int = 0,
    posterior: tuple[Float[np.ndarray, "N d"], Float[np.ndarray, "N d d"]] | None = None,
) -> Clusters:
    """Groups of high density (HDBSCAN; Campello et al. 2013), those joined that no valley of density divides.

    See ``conformations.groups``. Particles between groups get -1. A sentence in ``notes`` says what was found.
    ``posterior``: mean and covariance under a normal prior, where z is what they are under a learned one: groups are
    then looked for in ``conformations.crossed_means``.
    """
    if latent.size < SEPARATE or latent.constant:
        label = np.full(latent.size, -1, dtype=np.int64)
        note = f"Groups by density were not looked for: they need {SEPARATE} particles with different z."
        return _described("HDBSCAN", latent, components, label, (note,))
    label = density_groups(latent.z if posterior is None else _crossed(latent, *posterior), seed)
    between = BETWEEN if posterior is None else STATES_BETWEEN
    found = _described("HDBSCAN", latent, components, label, (_density_note(label, between),))
    return dataclasses.replace(found, between=between)


def _crossed(latent: Latent, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    posterior = (torch.from_numpy(part[latent.row]).double() for part in (mean, covariance))
    return crossed_means(*posterior).numpy()


def _density_note(label: Int[np.ndarray, " n"], between: float) -> str:
    groups, outside = len(np.unique(label[label >= 0])), float(np.mean(label < 0))
    if groups < 2:
        return (
            "Clustering by density finds no separate groups: in z the particles form one cloud, "
            "so the k-means groups are regions of a continuum rather than distinct states."
        )
    share = f"{100 * outside:.0f} % of the particles lie between them"
    if outside < between:
        return f"Clustering by density finds {groups} separate groups; {share}."
    return (
        f"Clustering by density finds {groups} denser places, but {share}: "
        "preferred shapes in a continuum rather than distinct states."
    )


def _described(
    method: str,
    latent: Latent,
    components: PrincipalComponents,
    label: Int[np.ndarray, " n"],
    notes: tuple[str, ...],
) -> Clusters:
    """Number the groups along the first principal component and find the particle nearest to each mean."""
    found = np.unique(label[label >= 0])
    means = np.array([latent.z[label == group].mean(axis=0) for group in found]).reshape(-1, latent.dimensions)
    order = np.argsort(components.project(means)[:, 0], kind="stable")
    renumbered = np.full(latent.size, -1, dtype=np.int64)
    nearest = []
    for new, old in enumerate(order):
        members = np.flatnonzero(label == found[old])
        renumbered[members] = new
        distance = np.linalg.norm(latent.z[members] - means[old], axis=1)
        nearest.append(members[np.argmin(distance)])
    position = np.array(nearest, dtype=np.int64)
    return Clusters(
        method=method,
        label=latent.scatter(renumbered, fill=-1),
        particle=latent.row[position],
        centre=latent.z[position],
        size=np.bincount(renumbered[renumbered >= 0], minlength=len(order)),
        considered=latent.size,
        notes=notes,
    )
