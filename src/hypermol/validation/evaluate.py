"""A run against a known truth: how well z knows the particles' conformations, and how close their maps are to the true
ones. The numbers are those by which benchmarks score every program (``simulation.scores``, ``map_scores``)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from hypermol.errors import ConfigError
from hypermol.maps import align_maps, read_map
from hypermol.methods import SHOWN, Trained, finds_poses, rebuild
from hypermol.metrics import ClassScores, DirectionScore, fsc_mean
from hypermol.particles import images_fingerprint, read_particles
from hypermol.runs import Run, fingerprint
from hypermol.simulation import (
    AT_Z,
    CLUSTERS,
    CLUSTERS_HOW,
    COVERAGE_HOW,
    GAIN,
    GAIN_HOW,
    MEAN,
    MEAN_OF_GAINS,
    MEAN_OF_GAINS_HOW,
    MOVING,
    ORDER_HOW,
    OWN_CLASSES,
    OWN_CLASSES_HOW,
    POSES_HOW,
    STATES_HOW,
    Knowable,
    Truth,
    as_order,
    as_states,
    class_scores,
    class_values,
    coverage_score,
    family_figures,
    gain_of,
    knowable,
    map_curves,
    mean_of_gains,
    order_limits,
    order_scores,
    pose_values,
    state_limit,
    state_scores,
    truth_masks,
)

Figures = dict[str, dict[str, Any]]
LIMIT = "the images' own limit"


def evaluate_run(
    run: Run,
    truth_folder: Path | str,
    particles: int = 100,
    device: str = "auto",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Figures:
    """Figures for metrics.json: name → {"value", "unit", "how"}. ``progress`` is told (done, all) maps compared. Of a
    method that has maps along z and no particle's, the matrices of the run are written beside the true ones.

    Raises ConfigError when the run was not made from this truth's particles.
    """
    truth = Truth.load(truth_folder)
    _require_same_data(run, truth)
    trained = rebuild(run, device)
    figures: Figures = {}
    if (family := _family_of(trained)) is not None:
        _require_same_box(truth, trained)
        figures, matrices = family_figures(family, truth)
        run.save_matrices(matrices)
        if not trained.has_latent:
            return figures
    if trained.has_latent:
        figures |= conformation_figures(trained.latent(), truth)
    figures |= posterior_coverage(trained, truth) | own_classes(trained, truth)
    if has_found_poses(trained):
        figures |= pose_figures(trained, truth)
    return figures | map_figures(trained, truth, particles, progress)


def _family_of(trained: Trained) -> Tensor | None:
    """Maps evenly along the z of a method that draws it; None of any other."""
    along = getattr(trained.method, "along", None)
    z = None if along is None else along(SHOWN)
    own = trained if along is None else rebuild(trained.run, own_maps=True)
    return None if z is None else own.decode(z).cpu()


def _require_same_box(truth: Truth, trained: Trained) -> None:
    if truth.box != trained.box:
        raise ConfigError(
            f"the run's maps have {trained.box} px and the true maps {truth.box}; train without --set box"
        )


def _require_same_data(run: Run, truth: Truth) -> None:
    """The same metadata, and (where the run knows them) the same images: poses may be equal and the noise another."""
    known, star = run.config["input"], truth.folder / "particles.star"
    same = known["fingerprint"] == fingerprint(star)
    if same and "images_fingerprint" in known:
        same = known["images_fingerprint"] == images_fingerprint(read_particles(star))
    if not same:
        raise ConfigError(
            f"{run.path} was trained on {known['particles']}, which is not the particles.star of {truth.folder} with "
            "its images; give the folder of the simulated data that was trained on"
        )


def conformation_figures(z: np.ndarray, truth: Truth) -> Figures:
    """What z [N, d] knows of the order of the particles, or of their states, and the most that the images hold."""
    figures: Figures = {}
    if not as_order(truth) and not as_states(truth):
        return figures
    held = knowable(truth, truth.intact[truth.half[truth.intact] == 1])
    if as_order(truth):
        figures |= _order("best direction", order_scores(truth, z), ORDER_HOW)
        if held is not None:
            figures |= _order(LIMIT, order_limits(truth, held), _limit_how("posterior mean of the true coordinate"))
    if as_states(truth):
        found = state_scores(truth, z)
        figures["states told apart"] = _figure(100 * found.told_apart, "%", STATES_HOW)
        figures |= _limit_of_states(held) | _classes(CLUSTERS, found.clusters, CLUSTERS_HOW)
    return figures


def _order(name: str, scores: list[DirectionScore], how: str) -> Figures:
    figures: Figures = {}
    for axis, found in enumerate(scores, start=1):
        numbered = name if len(scores) == 1 else f"{name} {axis}"
        figures[f"|Spearman| of {numbered}"] = _figure(found.spearman, "", how)
        figures[f"R² of {numbered}"] = _figure(found.r_squared, "", how)
    return figures


def _limit_of_states(held: Knowable | None) -> Figures:
    if held is None:
        return {}
    how = _limit_how("expected share right of the most probable state")
    return {f"states told apart, {LIMIT}": _figure(100 * state_limit(held), "%", how)}


def _limit_how(what: str) -> str:
    return f"{what} under the true model, half 2: no method can do better on average"


def posterior_coverage(trained: Trained, truth: Truth) -> Figures:
    """How often the posterior of z contains the truth, of methods that state it before the prior is learned from z."""
    path = trained.run.path / "estimates.npz"
    found = trained.run.estimates() if path.exists() else {}
    if "z_normal_covariance" not in found or not found["z_normal"].shape[1]:
        return {}
    share = coverage_score(truth, found["z_normal"], found["z_normal_covariance"])
    return {} if share is None else {"true z inside the 90 % region": _figure(100 * share, "%", COVERAGE_HOW)}


def own_classes(trained: Trained, truth: Truth) -> Figures:
    """The classes of a method that has some, against discrete true states."""
    path = trained.run.path / "estimates.npz"
    found = trained.run.estimates() if path.exists() else {}
    if "class_probability" not in found or not as_states(truth):
        return {}
    scores = class_scores(truth, found["class_probability"])
    return _classes(OWN_CLASSES, scores, OWN_CLASSES_HOW)


def _classes(name: str, scores: ClassScores, how: str) -> Figures:
    return {title: _figure(value, unit, how) for title, (value, unit, _) in class_values(name, scores).items()}


def has_found_poses(trained: Trained) -> bool:
    """Whether the run's poses are its own: its maps then have a frame of their own too."""
    return finds_poses(trained.method) and (trained.run.path / "estimates.npz").exists()


def pose_figures(trained: Trained, truth: Truth) -> Figures:
    """Errors of poses that the run found, after one alignment of all particles, both hands tried."""
    found = trained.run.estimates()
    values = pose_values(truth, found["rotation"], found["shift"]).items()
    return {name: _figure(value, unit, POSES_HOW) for name, (value, unit, _) in values}


def _into_frame_of(truth: Truth, trained: Trained) -> Callable[[Tensor], Tensor]:
    """What takes a map of the run into the truth's frame: the rotation, shift and hand of its consensus map."""
    own_frame = has_found_poses(trained) or getattr(trained.method, "frame_is_own", False)
    if not own_frame:
        return lambda map_: map_
    frame = align_maps(trained.consensus().float(), truth.mean_map().float())
    return lambda map_: frame.lay(map_.float())


def map_figures(trained: Trained, truth: Truth, count: int, progress: Callable[[int, int], None]) -> Figures:
    """FSC of maps at the z of random intact particles with their true maps, beside that of two consensus maps."""
    _require_same_box(truth, trained)
    chosen = truth.sample(count)
    laid = _into_frame_of(truth, trained)
    rivals = {MEAN: truth.mean_map(), **{name: laid(map_) for name, map_ in _back_projection(trained).items()}}
    maps = (laid(trained.map_of(int(particle))) for particle in chosen)
    curves = map_curves(truth, chosen, maps, rivals, truth_masks(truth), progress)
    base = f"{len(chosen)} random particles, FSC with their own true maps in one truth-derived mask, mean over shells"
    figures: Figures = {}
    for region, rows in curves.items():
        means = {name: fsc_mean(curve) for name, curve in rows.items()}
        for name, mean in means.items():
            label = "maps at z" if name == AT_Z else name
            figures[f"FSC of {label}, {region}"] = _figure(float(mean.mean()), "", base)
        for rival in rivals:
            share = float((means[AT_Z] > means[rival]).double().mean())
            figures[f"closer than the {rival}, {region}"] = _figure(100 * share, "% of particles", base)
    if MOVING in curves:
        figures[MEAN_OF_GAINS] = _figure(mean_of_gains(curves), "", MEAN_OF_GAINS_HOW)
        figures[GAIN] = _figure(gain_of(curves), "", GAIN_HOW)
    return figures


def _back_projection(trained: Trained) -> dict[str, Tensor]:
    """The consensus map that the run itself holds, if any: what a user would have without heterogeneity."""
    path = trained.run.volumes / "consensus.mrc"
    return {"consensus map": read_map(path)[0]} if path.exists() else {}


def _figure(value: float, unit: str, how: str) -> dict[str, Any]:
    return {"value": value if np.isfinite(value) else None, "unit": unit, "how": how}
