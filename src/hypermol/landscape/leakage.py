"""Leakage: does z know things that are not shape (how the particle lay, its defocus, its micrograph)?

Everything is scored on particles that the fit has not seen, and against the same fit to permuted targets, so that
neither a flexible fit nor luck looks like leakage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hypermol.landscape.components import principal_components
from hypermol.landscape.latent import FEW, Latent, subsample
from hypermol.landscape.prediction import (
    Folds,
    group_score,
    make_folds,
    prediction_scores,
    prepare,
)
from hypermol.metrics import MutualInformation, mutual_information
from hypermol.shapes import Float

LIMIT = 5_000
PERMUTATIONS = 10
INFORMED = 1_500
"""Particles from which mutual information is estimated: every pair of them counts."""
CLEAR = 0.05
NEGLIGIBLE = 0.01
SIGNIFICANT = 4.0


@dataclass(frozen=True)
class Leakage:
    """How much of ``target`` z tells (or, for the micrograph, the other way round).

    ``score`` cross-validated R² (1: wholly, 0 or below: nothing); ``error`` its standard error over the folds;
    ``chance`` and ``chance_spread`` mean and standard deviation of the same score for permuted targets; ``verdict``
    "none", "slight" (real but below 5 %) or "clear"; ``sentence`` for people. Of the pose also the mutual information
    with z in nats, and its mean and standard deviation for permuted particles: it sees what no predictor of a few
    harmonics does, as a z that says how a particle lay without saying it smoothly.
    """

    target: str
    score: float
    error: float
    chance: float
    chance_spread: float
    particles: int
    verdict: str
    sentence: str
    nats: float | None = None
    nats_chance: float | None = None
    nats_spread: float | None = None


def measure_leakage(
    latent: Latent,
    rotation: Float[np.ndarray, "N 3 3"] | None = None,
    defocus: Float[np.ndarray, " N"] | None = None,
    micrograph: np.ndarray | None = None,
    contrast: Float[np.ndarray, " N"] | None = None,
    seed: int = 0,
) -> tuple[tuple[Leakage, ...], tuple[str, ...]]:
    """Leakage for each quantity given (per row of the input; defocus in Å, micrograph any labels), and sentences
    for those that could not be measured. At most 5,000 particles are used.
    """
    if latent.size < FEW:
        return (), (f"Leakage was not measured: {latent.size} particles with a z are too few (at least {FEW}).",)
    if latent.constant:
        return (), ("Leakage was not measured: z is the same for all particles.",)
    targets = {
        "viewing direction": None if rotation is None else view_functions(np.asarray(rotation)),
        "in-plane angle": None if rotation is None else in_plane_functions(np.asarray(rotation)),
        "defocus": None if defocus is None else [np.asarray(defocus, float)[:, None]],
        "contrast": None if contrast is None else [np.asarray(contrast, float)[:, None]],
    }
    found: list[Leakage] = []
    notes: list[str] = []
    unknown = [name for name, functions in targets.items() if functions is None]
    unknown += ["micrograph"] if micrograph is None else []
    if unknown:
        words = " and ".join(filter(None, [", ".join(unknown[:-1]), unknown[-1]]))
        notes.append(f"Leakage was not measured for {words}: not known for these particles.")
    for name, functions in targets.items():
        if functions is None:
            continue
        _collect(_predicted(latent, name, functions, micrograph, seed), found, notes)
    if micrograph is not None:
        _collect(_by_micrograph(latent, micrograph, seed), found, notes)
    return tuple(found), tuple(notes)


def view_functions(rotation: Float[np.ndarray, "N 3 3"]) -> list[Float[np.ndarray, "N f"]]:
    """Real spherical harmonics of degree 1 and of degree 2 of the viewing direction Rᵀe_z.

    Degree 2 sees a z that cannot tell a view from the opposite one, as is so of projections of equal outline.
    """
    x, y, z = rotation[:, 2, :].T
    second = np.stack([x * y, y * z, z * x, (x**2 - y**2) / 2, (3 * z**2 - 1) / np.sqrt(12)], axis=1)
    return [np.stack([x, y, z], axis=1), second]


def in_plane_functions(rotation: Float[np.ndarray, "N 3 3"]) -> list[Float[np.ndarray, "N f"]]:
    """(cos mψ, sin mψ) for m = 1, 2 of the in-plane angle ψ (the third Euler angle).

    With R = (Rz(rot) Ry(tilt) Rz(psi))ᵀ the molecule's axis appears in the image at (-sin tilt cos ψ, sin tilt sin ψ).
    """
    psi = np.arctan2(rotation[:, 1, 2], -rotation[:, 0, 2])
    return [np.stack([np.cos(order * psi), np.sin(order * psi)], axis=1) for order in (1, 2)]


def _collect(result: Leakage | str, found: list[Leakage], notes: list[str]) -> None:
    if isinstance(result, str):
        notes.append(result)
    else:
        found.append(result)


def _predicted(
    latent: Latent,
    name: str,
    functions: list[Float[np.ndarray, "N f"]],
    micrograph: np.ndarray | None,
    seed: int,
) -> Leakage | str:
    """How well z predicts ``functions`` (the best of them and of two predictors), on unseen micrographs if known."""
    stacked = np.concatenate(functions, axis=1)[latent.row]
    usable = np.flatnonzero(np.isfinite(stacked).all(axis=1))
    if usable.size < FEW:
        return f"Leakage of the {name} was not measured: only {usable.size} particles have a value."
    if np.ptp(stacked[usable], axis=0).max() < 1e-9:
        return f"Leakage of the {name} was not measured: it is the same for all particles."
    chosen = usable[subsample(usable.size, LIMIT, seed)]
    groups = None if micrograph is None else np.asarray(micrograph)[latent.row[chosen]]
    folds = make_folds(chosen.size, groups, seed)
    predictors = prepare(_features(latent.subset(chosen)), folds)
    values = [function[latent.row[chosen]] for function in functions]

    def score(order: np.ndarray) -> tuple[float, float]:
        return prediction_scores(predictors, [value[order] for value in values])

    told = _information(latent, name, functions[0], chosen, seed) if name in _POSE else None
    return _judged(name, score, folds, seed, told)


def _information(
    latent: Latent, name: str, points: Float[np.ndarray, "N f"], chosen: np.ndarray, seed: int
) -> MutualInformation:
    """Of z and the viewing direction as a unit vector, or the in-plane angle as (cos, sin)."""
    some = chosen[subsample(chosen.size, INFORMED, seed)]
    return mutual_information(_features(latent.subset(some)), points[latent.row[some]], seed)


def _by_micrograph(latent: Latent, micrograph: np.ndarray, seed: int) -> Leakage | str:
    """How much of z the micrograph tells: whole micrographs are drawn until 5,000 particles are reached."""
    name = "micrograph"
    _, group, size = np.unique(np.asarray(micrograph)[latent.row], return_inverse=True, return_counts=True)
    shared = np.flatnonzero(size >= 2)
    if shared.size < 2:
        return "Leakage of the micrograph was not measured: it needs two micrographs with two particles each."
    order = np.random.default_rng([seed, 1]).permutation(shared)
    kept = order[: max(2, int(np.searchsorted(np.cumsum(size[order]), LIMIT)))]
    chosen = np.flatnonzero(np.isin(group, kept))
    chosen = chosen[subsample(chosen.size, 4 * LIMIT, seed)]
    if chosen.size < FEW:
        return f"Leakage of the micrograph was not measured: only {chosen.size} particles share one."
    features = _features(latent.subset(chosen))
    folds = make_folds(chosen.size, None, seed)
    return _judged(name, lambda permuted: group_score(features, group[chosen][permuted], folds), folds, seed)


def _features(latent: Latent) -> Float[np.ndarray, "n c"]:
    """Principal components of z, each with unit variance; those without variance dropped."""
    components = principal_components(latent)
    kept = components.ratio > 1e-6
    return components.project(latent.z)[:, kept] / np.sqrt(components.variance[kept])


def _judged(
    name: str,
    score: Callable[[np.ndarray], tuple[float, float]],
    folds: Folds,
    seed: int,
    told: MutualInformation | None = None,
) -> Leakage:
    """Score the targets in order and permuted, and put the outcome in words; the stronger of both measures decides."""
    size = folds.size
    value, error = score(np.arange(size))
    random = np.random.default_rng([seed, 2])
    permuted = np.array([score(random.permutation(size))[0] for _ in range(PERMUTATIONS)])
    chance, spread = float(permuted.mean()), float(permuted.std(ddof=1))
    real = value >= NEGLIGIBLE and value - chance > SIGNIFICANT * max(np.hypot(error, spread), 1e-3)
    verdict = "none" if not real else ("clear" if value >= CLEAR else "slight")
    sentence = _sentence(name, value, error, chance, verdict)
    if told is None:
        return Leakage(name, value, error, chance, spread, size, verdict, sentence)
    verdict, sentence = _with_information(name, told, verdict, sentence)
    return Leakage(name, value, error, chance, spread, size, verdict, sentence, *_nats(told))


def _nats(told: MutualInformation) -> tuple[float, float, float]:
    return told.nats, told.chance, told.chance_spread


def _with_information(name: str, told: MutualInformation, verdict: str, sentence: str) -> tuple[str, str]:
    """The verdict and sentence of both measures: that of prediction, unless mutual information sees more."""
    figure = f"{told.nats:z.2f} ± {max(told.chance_spread, 0.01):.2f} nats, by chance {told.chance:z.2f}"
    seen = told.sigmas > SIGNIFICANT and told.explained >= NEGLIGIBLE
    found = "none" if not seen else ("clear" if told.explained >= CLEAR else "slight")
    if _ORDER.index(found) <= _ORDER.index(verdict):
        return verdict, f"{sentence} Their mutual information is {figure}."
    much = {"slight": "a little", "clear": "much"}[found]
    return found, (
        f"z tells {much} about the {name}, though not by a smooth function of it (mutual information {figure}: as much "
        f"as an R² of {told.explained:.2f} between normal variables; {_MEANING[name]})."
    )


_POSE = ("viewing direction", "in-plane angle")
_ORDER = ("none", "slight", "clear")
_MEANING = {
    "viewing direction": "part of z follows from which side the particle was seen and not its shape, "
    "unless the states truly prefer different views",
    "in-plane angle": "part of z follows how the particle was turned in the image, which can have nothing to do with "
    "its shape",
    "defocus": "part of z follows the defocus, an imaging condition and not a shape; check the CTF parameters",
    "contrast": "part of z follows how strong the particle's signal is (ice thickness, scale), not its shape",
    "micrograph": "particles of one micrograph have similar z, as from drifting imaging conditions or from "
    "micrographs that truly differ in content",
}


def _sentence(name: str, value: float, error: float, chance: float, verdict: str) -> str:
    spread = f"± {np.ceil(100 * max(error, 1e-6)) / 100:.2f}"
    # below zero is worse than guessing the mean: nothing is nothing
    against = "the same as by chance" if verdict == "none" else f"by chance {max(chance, 0.0):.2f}"
    figure = f"(cross-validated R² {max(value, 0.0):.{3 if verdict == 'slight' else 2}f} {spread}; {against})"
    share = f"{100 * max(value, 0.0):.0f} %"
    if name == "micrograph":
        says = {
            "none": f"The micrograph tells nothing about z {figure}.",
            "slight": f"The micrograph tells a little about z {figure}: real, but small.",
            "clear": f"The micrograph explains {share} of the variance of z {figure}: {_MEANING[name]}.",
        }
    else:
        says = {
            "none": f"z tells nothing about the {name} {figure}.",
            "slight": f"z tells a little about the {name} {figure}: real, but small.",
            "clear": f"z predicts the {name}, {share} of its variance {figure}: {_MEANING[name]}.",
        }
    return says[verdict]
