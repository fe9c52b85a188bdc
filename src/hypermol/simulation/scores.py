"""What an answer is worth against the truth of a simulated set: the same numbers wherever a run or a program is scored.

Junk particles show no molecule: they count in none of these.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hypermol.metrics import (
    ClassScores,
    DirectionScore,
    best_direction,
    circular_direction,
    circular_spearman,
    confusion,
    coverage,
    pose_scores,
    r_squared,
    spearman,
    state_accuracy,
)
from hypermol.simulation.bound import Posterior, posterior_mean, state_posterior
from hypermol.simulation.truth import Truth

MOST_STATES, LEAST_LEVELS = 10, 4
"""Up to so many states are scored as states; from so many levels on, a coordinate is scored by its order."""
SEED_OF_CLUSTERS = 0
ORDER_HOW = "linear direction of z fitted on half 1, scored on half 2"
STATES_HOW = "linear discriminant of z fitted on half 1, scored on half 2"
CLUSTERS, OWN_CLASSES = "clusters of z", "the method's classes"
OWN_CLASSES_HOW = "most probable class, best one-to-one matching with the true states"
ROTATION, DIRECTION, SHIFT = "median rotation error", "median direction error", "median shift error"
POSES_HOW = "poses found, after one rotation, one origin and the better hand; median over particles"
CURVE = 8
"""Degree of the polynomial (on a circle, twice the order of the Fourier series) by which z follows the truth."""
COVERAGE_LEVEL = 0.9
COVERAGE_HOW = "true z: a smooth function of the true conformation, fitted on half 1; counted on half 2; 90 % is right"
CLUSTERS_HOW = f"k-means of z with the true number of states, seed {SEED_OF_CLUSTERS}, best one-to-one matching"


def as_states(truth: Truth) -> bool:
    """Whether a set is scored by its states: there are some, and not so many that they stand for a continuum."""
    return not truth.motion.continuous and 2 <= len(truth.motion.states()) <= MOST_STATES


def as_order(truth: Truth) -> bool:
    """Whether a set is scored by the order of its particles along a coordinate: with two or three levels there is
    none to speak of."""
    return truth.dim > 0 and (truth.motion.continuous or len(truth.motion.states()) >= LEAST_LEVELS)


def order_scores(truth: Truth, z: np.ndarray) -> list[DirectionScore]:
    """The best direction of z [N, d] for each true coordinate; angles on a circle by (cos, sin)."""
    intact = truth.intact
    read = circular_direction if truth.motion.circular else best_direction
    fit = truth.half[intact] == 0
    return [read(z[intact], truth.conformation[intact, axis], fit) for axis in range(truth.dim)]


@dataclass(frozen=True)
class StateScores:
    """told_apart: share of unseen particles whose state a linear discriminant of z names rightly, 0 to 1.
    clusters: k-means of z, not told the states, against them."""

    told_apart: float
    clusters: ClassScores


def state_scores(truth: Truth, z: np.ndarray) -> StateScores:
    """How well z [N, d] tells discrete states apart."""
    from sklearn.cluster import KMeans

    intact = truth.intact
    rows, state = z[intact], truth.state[intact]
    spread = np.maximum(rows.std(axis=0), 1e-9)
    means = KMeans(len(np.unique(state)), n_init=10, random_state=SEED_OF_CLUSTERS)
    clusters = means.fit_predict((rows - rows.mean(axis=0)) / spread)
    return StateScores(state_accuracy(rows, state, truth.half[intact] == 0), confusion(clusters, state))


def pose_values(truth: Truth, rotation: np.ndarray, shift: np.ndarray | None) -> dict[str, tuple[float, str, str]]:
    """The figures of poses that were found, rotation [N, 3, 3], shift [N, 2] in Å: name → (value, unit, which way is
    better). Shifts of tilted images, and those not found, are not scored."""
    rows = truth.intact
    both = shift is not None and truth.shift.shape[1] == 2
    moved, known = (shift[rows], truth.shift[rows]) if shift is not None and both else (None, None)
    errors = pose_scores(rotation[rows], truth.rotation[rows], moved, known, pixel_size=truth.pixel_size).overall
    values = {
        ROTATION: (float(np.median(errors.rotation_deg)), "°", "lower"),
        DIRECTION: (float(np.median(errors.direction_deg)), "°", "lower"),
    }
    return values | ({SHIFT: (float(np.median(errors.shift_px)), "px", "lower")} if both else {})


def coverage_score(truth: Truth, mean: np.ndarray, covariance: np.ndarray) -> float | None:
    """Share of particles whose true z lies in the 90 % region of its posterior under N(0, 1): mean [N, d], covariance
    [N, d, d]. None for a continuum of more than one coordinate."""
    intact = truth.intact
    features = _features(truth, intact)
    if features is None:
        return None
    return coverage(mean[intact], covariance[intact], features, truth.half[intact] == 0, COVERAGE_LEVEL)


def _features(truth: Truth, particles: np.ndarray) -> np.ndarray | None:
    """Functions of the true conformation, one row per particle, of which the true z may be made up."""
    motion = truth.motion
    if not motion.continuous:
        return (truth.state[particles, None] == np.unique(truth.state[particles])).astype(float)
    if motion.dim != 1:
        return None
    known = truth.conformation[particles, 0]
    if motion.circular:
        turns = np.exp(1j * np.deg2rad(known)[:, None] * np.arange(CURVE // 2 + 1))
        return np.concatenate([turns.real, turns[:, 1:].imag], 1)
    low, high = known.min(), known.max()
    return np.polynomial.legendre.legvander(2 * (known - low) / max(high - low, 1e-30) - 1, CURVE)


def class_scores(truth: Truth, probability: np.ndarray) -> ClassScores:
    """The most probable class of each particle, probability [N, K], against its state."""
    return confusion(probability.argmax(axis=1)[truth.intact], truth.state[truth.intact])


def class_values(name: str, scores: ClassScores) -> dict[str, tuple[float, str, str]]:
    """The figures of classes called ``name``: figure → (value, unit, which way is better)."""
    return {
        f"confusion error of {name}": (100 * scores.error, "%", "lower"),
        f"adjusted Rand index of {name}": (scores.ari, "", "higher"),
        f"least recall of a state by {name}": (100 * float(scores.recall.min()), "%", "higher"),
    }


@dataclass(frozen=True)
class Knowable:
    """What the images hold of the conformation of some particles: the posterior over points [G, q] of the motion."""

    posterior: Posterior
    points: np.ndarray


def knowable(truth: Truth, particles: np.ndarray) -> Knowable | None:
    """The posterior under the true model of some intact particles; None without noise, where nothing moves, and for a
    continuum of more than one coordinate."""
    motion = truth.motion
    if truth.noise_variance <= 0 or not motion.moving.any() or (motion.continuous and motion.dim != 1):
        return None
    posterior = (posterior_mean if motion.continuous else state_posterior)(truth, particles)
    return Knowable(posterior, posterior.grid[:, None] if motion.continuous else motion.states())


def order_limits(truth: Truth, held: Knowable) -> list[DirectionScore]:
    """|Spearman| and R² of the posterior mean of each coordinate: no method can do better on average. On a circle the
    mean of (cos, sin), R² over both, and the rank correlation of its direction."""
    return [_order_limit(truth, held, axis) for axis in range(truth.dim)]


def _order_limit(truth: Truth, held: Knowable, axis: int) -> DirectionScore:
    grid, known = held.points[:, axis], truth.conformation[held.posterior.particle, axis]
    probability = held.posterior.probability
    if not truth.motion.circular:
        found = probability @ grid
        return DirectionScore(abs(spearman(found, known)), r_squared(found, known))
    vector, pair = probability @ np.exp(1j * np.deg2rad(grid)), np.exp(1j * np.deg2rad(known))
    missed, total = (np.abs(vector - pair) ** 2).sum(), (np.abs(pair - pair.mean()) ** 2).sum()
    rank = abs(circular_spearman(np.rad2deg(np.angle(vector)), known))
    return DirectionScore(rank, float(1 - missed / total))


def state_limit(held: Knowable) -> float:
    """Expected share right of the most probable state, 0 to 1."""
    return float(held.posterior.probability.max(axis=1).mean())
