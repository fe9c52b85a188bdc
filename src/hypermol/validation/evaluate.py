"""A run against a known truth: how well z orders the particles, and how close each particle's map is to its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.errors import ConfigError
from hypermol.maps import read_map
from hypermol.methods import Trained, rebuild
from hypermol.metrics import best_direction, circular_direction, fsc, fsc_mean, gain
from hypermol.runs import Run, fingerprint
from hypermol.simulation import Truth

Figures = dict[str, dict[str, Any]]


def evaluate_run(
    run: Run,
    truth_folder: Path | str,
    particles: int = 100,
    device: str = "auto",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Figures:
    """Figures for metrics.json: name → {"value", "unit", "how"}. ``progress`` is told (done, all) maps compared.

    Raises ConfigError when the run was not made from this truth's particles.
    """
    truth = Truth.load(truth_folder)
    if run.config["input"]["fingerprint"] != fingerprint(truth.folder / "particles.star"):
        raise ConfigError(
            f"{run.path} was trained on {run.config['input']['particles']}, which is not the particles.star of "
            f"{truth_folder}; give the folder of the simulated data that was trained on"
        )
    trained = rebuild(run, device)
    figures: Figures = {}
    if trained.has_latent:
        figures |= order_figures(trained.latent(), truth)
    figures |= map_figures(trained, truth, particles, progress)
    return figures


def order_figures(z: np.ndarray, truth: Truth) -> Figures:
    """Best direction of z for each true coordinate, and the most that the images hold."""
    fit = truth.half == 0
    figures: Figures = {}
    for axis in range(truth.dim):
        name = "best direction" if truth.dim == 1 else f"best direction {axis + 1}"
        how = "linear direction of z fitted on half set 0, scored on half set 1"
        figures |= _scores(z, truth.conformation[:, axis], fit, truth.motion.circular, name, how)
    if truth.dim == 1 and truth.noise_variance > 0:
        mean = truth.posterior_mean().mean[:, None]
        how = "posterior mean of the true coordinate under the true model: no method can do better on average"
        figures |= _scores(mean, truth.conformation[:, 0], fit, truth.motion.circular, "the images' own limit", how)
    return figures


def _scores(z: np.ndarray, known: np.ndarray, fit: np.ndarray, circular: bool, name: str, how: str) -> Figures:
    found = (circular_direction if circular else best_direction)(z, known, fit)
    return {
        f"|Spearman| of {name}": _figure(found.spearman, "", how),
        f"R² of {name}": _figure(found.r_squared, "", how),
    }


def map_figures(trained: Trained, truth: Truth, count: int, progress: Callable[[int, int], None]) -> Figures:
    """FSC of maps at the z of random particles with their true maps, beside that of two consensus maps."""
    if truth.box != trained.box:
        raise ConfigError(
            f"the run's maps have {trained.box} px and the true maps {truth.box}; train without --set box"
        )
    chosen = np.sort(np.random.default_rng(0).choice(truth.count, min(count, truth.count), replace=False))
    masks = {"whole map": truth.mask()} | ({"moving domain": truth.moving_mask()} if truth.dim else {})
    consensus = {"noise-free mean map": truth.mean_map(), **_back_projection(trained)}
    curves: dict[str, dict[str, list[Tensor]]] = {region: {} for region in masks}
    for done, particle in enumerate(chosen, start=1):
        exact = truth.map(int(particle)).float()
        rivals = {"z": trained.map_of(int(particle)), **consensus}
        for region, mask in masks.items():
            for name, rival in rivals.items():
                curves[region].setdefault(name, []).append(fsc(rival.float(), exact, mask.float()))
        progress(done, len(chosen))
    return _map_summary({r: {n: torch.stack(c) for n, c in rows.items()} for r, rows in curves.items()}, len(chosen))


def _map_summary(curves: dict[str, dict[str, Tensor]], count: int) -> Figures:
    figures: Figures = {}
    base = f"{count} random particles, FSC with their own true maps in one truth-derived mask, mean over shells"
    for region, rows in curves.items():
        means = {name: fsc_mean(curve) for name, curve in rows.items()}
        for name, mean in means.items():
            label = "maps at z" if name == "z" else name
            figures[f"FSC of {label}, {region}"] = _figure(float(mean.mean()), "", base)
        for name, mean in means.items():
            if name != "z":
                share = float((means["z"] > mean).double().mean())
                figures[f"closer than the {name}, {region}"] = _figure(100 * share, "% of particles", base)
    if "moving domain" in curves:
        rows = curves["moving domain"]
        value = float(gain(rows["z"], rows["noise-free mean map"]).nanmean())
        how = (
            "(FSC - consensus)/(1 - consensus), shells 2 to D/4 - 1, mask around the moving part; 0: nothing, 1: truth"
        )
        figures["gain in the moving domain"] = _figure(value, "", how)
    return figures


def _back_projection(trained: Trained) -> dict[str, Tensor]:
    """The consensus map that the run itself holds, if any: what a user would have without heterogeneity."""
    path = trained.run.volumes / "consensus.mrc"
    return {"consensus map": read_map(path)[0]} if path.exists() else {}


def _figure(value: float, unit: str, how: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "how": how}
