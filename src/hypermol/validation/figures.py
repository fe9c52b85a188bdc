"""The figures of a validation that go into the run's metrics.json."""

from __future__ import annotations

from typing import Any

from hypermol.validation.reproduction import REAL

Figures = dict[str, dict[str, Any]]


def figures_of(found: dict[str, Any]) -> Figures:
    """name → {"value", "unit", "how"}; every name begins with "validation: "."""
    figures: Figures = {}
    halves = "two runs on the two halves of the data, which share nothing but the poses given"
    _add(figures, "still map", found["still"]["resolution"], "Å", f"FSC 0.143 of {halves}")
    for axis in found.get("axes", ()):
        name = f"motion along axis {axis['axis']}"
        value = axis["resolution"] if axis["real"] else None
        _add(figures, name, value, "Å", f"FSC 0.143 of the changes of shape of {halves}; none: not real")
        how = f"deviations above turned copies; {REAL:g} and more is taken as real"
        _add(figures, f"{name}, above chance", axis["significance"], "σ", how)
        if axis["order"]:
            how = "rank correlation of the same particles' coordinate by both halves' models; 1: same order"
            _add(figures, f"{name}, order", abs(axis["order"]["spearman"]), "", how)
    if noise := found.get("noise"):
        _add(figures, "noise for images, above chance", noise["significance"], "σ", "the same pipeline; 0: nothing")
    _landscape_figures(figures, found)
    _model_figures(figures, found)
    return figures


LANDSCAPES = {
    "wasserstein": "2-Wasserstein distance of the halves' maps",
    "quantiles": "mean maps at matched quantiles of the largest motion",
    "gromov": "Gromov-Wasserstein distance on distances between maps",
}


def _landscape_figures(figures: Figures, found: dict[str, Any]) -> None:
    for name, words in LANDSCAPES.items():
        if record := (found.get("landscape_maps") or {}).get(name):
            how = f"{words}; 0: as close as random parts of one landscape, 1: as far as unrelated ones"
            _add(figures, f"landscapes apart, {name}", record["share"], "", how)


def _model_figures(figures: Figures, found: dict[str, Any]) -> None:
    for rival, words in (("still", "the same model at its mean z"), ("consensus", "the consensus map")):
        gain = (found.get("held_out") or {}).get(rival)
        if gain:
            how = f"evidence bound of images never seen less log-likelihood under {words}, ± {gain['error']:.2g}"
            _add(figures, f"held-out gain over {words}", gain["gain"], "nats per particle", how)
    width = (found.get("calibration") or {}).get("width")
    _add(figures, "z's uncertainty too small by", width, "×", "images made from the model itself; 1: calibrated")
    gap = found.get("amortisation") or {}
    _add(figures, "amortisation gap", gap.get("gap"), "nats per particle", "bound gained by refining z per image")


def _add(figures: Figures, name: str, value: float | None, unit: str, how: str) -> None:
    figures[f"validation: {name}"] = {"value": value, "unit": unit, "how": how}
