"""An answer against the truth: each figure by the same code for every program, the images' own limit beside it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from torch import Tensor

from hypermol.benchmarks.answer import Answer
from hypermol.benchmarks.comparison import MapScore
from hypermol.benchmarks.figures import (
    STATES_APART,
    Figures,
    area_under_roc,
    figure,
    order_name,
)
from hypermol.errors import DataError
from hypermol.metrics import ClassScores
from hypermol.simulation import (
    CLUSTERS,
    CLUSTERS_HOW,
    ORDER_HOW,
    OWN_CLASSES,
    OWN_CLASSES_HOW,
    POSES_HOW,
    STATES_HOW,
    Truth,
    as_order,
    as_states,
    class_scores,
    class_values,
    order_scores,
    pose_values,
    state_scores,
)

RARE = 0.05
"""A state with a smaller share is scored by itself as well."""
NEIGHBOURS = 5


def score(truth: Truth, answer: Answer, particles: np.ndarray, bound: Figures) -> Figures:
    """Everything that an answer allows to be said, name → {"value", "unit", "how", "better"}, and "bound" where the
    images' own limit of it is known. particles: those whose maps are compared. Raises DataError where the answer has
    another number of particles than the truth, or z that is not finite."""
    _require_matching(truth, answer)
    figures: Figures = {}
    if answer.z is not None:
        figures |= order_figures(truth, answer.z) | state_figures(truth, answer.z)
    if answer.classes is not None:
        figures |= class_figures(truth, answer.classes)
    if answer.rotation is not None:
        figures |= pose_figures(truth, answer)
    figures |= map_figures(truth, answer, particles) | junk_figures(truth, answer)
    return {name: {**entry, **_limit(bound, name)} for name, entry in figures.items()}


def _limit(bound: Figures, name: str) -> dict[str, object]:
    return {"bound": bound[name]["value"], "bound_how": bound[name]["how"]} if name in bound else {}


def _require_matching(truth: Truth, answer: Answer) -> None:
    for name in ("z", "classes", "rotation", "shift", "log_likelihood"):
        values = getattr(answer, name)
        if values is not None and (len(values) != truth.count or not np.isfinite(values).all()):
            raise DataError(
                f"{name}: expected {truth.count} rows of finite numbers, one per particle; found {len(values)} rows, "
                f"{np.count_nonzero(~np.isfinite(values))} values not finite"
            )


def order_figures(truth: Truth, z: np.ndarray) -> Figures:
    """Rank correlation and R² of the best direction of z with each true coordinate."""
    if not as_order(truth):
        return {}
    figures: Figures = {}
    for axis, found in enumerate(order_scores(truth, z)):
        figures[order_name("|Spearman|", axis, truth.dim)] = figure(found.spearman, ORDER_HOW)
        figures[order_name("R²", axis, truth.dim)] = figure(found.r_squared, ORDER_HOW)
    return figures


def state_figures(truth: Truth, z: np.ndarray) -> Figures:
    """For discrete states: how far z tells them apart, and what clusters of z make of them without being told."""
    if not as_states(truth):
        return {}
    found = state_scores(truth, z)
    figures = {STATES_APART: figure(100 * found.told_apart, STATES_HOW, "%")}
    return figures | _classes(CLUSTERS, found.clusters, CLUSTERS_HOW) | _rare(truth, z)


def class_figures(truth: Truth, classes: np.ndarray) -> Figures:
    """The program's own classes against the true states."""
    if not as_states(truth):
        return {}
    return _classes(OWN_CLASSES, class_scores(truth, classes), OWN_CLASSES_HOW)


def _classes(name: str, scores: ClassScores, how: str) -> Figures:
    named = class_values(name, scores).items()
    return {title: figure(value, how, unit, better) for title, (value, unit, better) in named}


def _rare(truth: Truth, z: np.ndarray) -> Figures:
    shares = truth.motion.shares
    rare = int(shares.argmin())
    if shares[rare] >= RARE:
        return {}
    intact = truth.intact
    value = _told_apart(z[intact], truth.state[intact] == rare, truth.half[intact] == 0)
    how = f"share of it among the {NEIGHBOURS} nearest z of half 1, area under ROC on half 2; 0.5: by chance"
    return {f"rare state ({100 * shares[rare]:g} %) told apart": figure(value, how)}


def _told_apart(z: np.ndarray, positive: np.ndarray, fit: np.ndarray) -> float:
    """Area under the ROC, on the particles not in ``fit``, of the share of positives among the nearest ones in it."""
    from scipy.spatial import cKDTree

    spread = np.maximum(z.std(axis=0), 1e-9)
    nearest = cKDTree(z[fit] / spread).query(z[~fit] / spread, k=min(NEIGHBOURS, int(fit.sum())))[1]
    return area_under_roc(positive[fit][nearest].mean(axis=1), positive[~fit])


def pose_figures(truth: Truth, answer: Answer) -> Figures:
    """Errors of inferred poses after one alignment of all particles, both hands tried."""
    if answer.rotation is None:
        return {}
    values = pose_values(truth, answer.rotation, answer.shift).items()
    return {name: figure(value, POSES_HOW, unit, better) for name, (value, unit, better) in values}


def map_figures(truth: Truth, answer: Answer, particles: np.ndarray) -> Figures:
    """Maps at particles' own z and the consensus; first aligned where the program found the poses itself."""
    score_ = MapScore(truth, particles)
    figures: Figures = {}
    hidden = answer.rotation is not None
    if answer.consensus is not None:
        consensus = aligned([answer.consensus], score_.mean)[0] if hidden else answer.consensus
        figures |= score_.of_consensus(consensus)
        if answer.maps is None and truth.motion.moving.any():
            figures |= score_.figures([consensus] * len(particles))  # what is known without heterogeneity
    if answer.maps is not None:
        maps: Iterable[Tensor] = answer.maps(particles)
        figures |= score_.figures(aligned(list(maps), score_.mean) if hidden else maps)
    return figures


def aligned(maps: list[Tensor], fixed: Tensor) -> list[Tensor]:
    """The maps moved by the one rotation, shift and hand that bring their mean onto ``fixed``."""
    from hypermol.maps.align import align_maps

    mean = sum(maps[1:], maps[0].float().clone()) / len(maps)
    found = align_maps(mean, fixed, either_hand=True)
    return [found.lay(map_.float()) for map_ in maps]


def junk_figures(truth: Truth, answer: Answer) -> Figures:
    """Where there is junk: how well it is told from molecules, by the likelihood alone and by z."""
    junk = truth.junk > 0
    if not junk.any():
        return {}
    figures: Figures = {}
    if answer.log_likelihood is not None:
        how = "log-likelihood of each particle, area under ROC; 0.5: by chance"
        figures["junk told apart by likelihood"] = figure(area_under_roc(-answer.log_likelihood, junk), how)
    if answer.z is not None:
        value = _told_apart(answer.z, junk, truth.half == 0)
        how = f"share of it among the {NEIGHBOURS} nearest z of half 1, area under ROC on half 2; 0.5: by chance"
        figures["junk told apart by z"] = figure(value, how)
    return figures
