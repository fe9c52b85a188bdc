"""The figures of a validation as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hypermol.report.markup import data_table, percent

Found = Mapping[str, Any]


def angstrom(value: float | None, curve: Sequence[float | None] = ()) -> str:
    """ "7.1 Å", that it is the end of a curve which never falls below 0.143, or that there is none."""
    if value is None:
        return "not resolved"
    never = len(curve) > 1 and all(each is not None and each >= 0.143 for each in curve[1:])
    return f"{value:.1f} Å{' or better (never below)' if never else ''}"


def number(value: float | None, form: str = ".2f") -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None else f"{value:{form}}"


def states_table(states: Sequence[Found], still: Found, particles: Sequence[int]) -> str:
    """Particles and resolution of each map."""
    maps = [(state["name"].replace("-", " "), state["particles"], state) for state in states]
    if still.get("map"):
        maps.append((f"all ({still['map']})", particles, still))
    rows = [
        [name, *(f"{count:,}" for count in counts), angstrom(map_["resolution"], map_["curve"])]
        for name, counts, map_ in maps
    ]
    return data_table(("Map", "Particles, half 1", "Particles, half 2", "FSC 0.143 at"), rows)


def orders_table(axes: Sequence[Found]) -> str:
    """Per axis: what both models say of the same particles."""
    header = ["Axis", "Rank correlation", "Same of three states", "by chance"]
    header += ["Populations differ by", "Distance of distributions", "random halves (95 %)"]
    rows = []
    for axis in axes:
        order = axis["order"]
        chance = f"{order['distance_by_chance']:.3f} σ ({order['distance_by_chance_95']:.3f})"
        row = [f"{axis['axis']}{' (real)' if axis['real'] else ''}", number(abs(order["spearman"]))]
        row += [percent(order[name]) for name in ("states_agree", "states_by_chance")]
        rows.append([*row, percent(order["population_difference"], 1), f"{order['distance']:.3f} σ", chance])
    return data_table(header, rows)


LANDSCAPES = {
    "wasserstein": "Maps of the particles (2-Wasserstein)",
    "quantiles": "Mean maps along the largest motion",
    "gromov": "Distances between maps (Gromov-Wasserstein)",
}


def landscapes_table(by_maps: Found) -> str:
    """Distances of the two landscapes by maps, each between its two scales; empty where none was measured."""
    rows = []
    for name, words in LANDSCAPES.items():
        if record := by_maps.get(name):
            same = f"{number(record['same'], '.3f')} ({number(record['same_95'], '.3f')})"
            chance = f"{number(record['chance'], '.3f')} ({number(record['chance_5'], '.3f')})"
            share = "–" if record["share"] is None else percent(record["share"])
            rows.append((words, number(record["value"], ".3f"), same, chance, share))
    header = ("Compared", "Distance", "same landscape (95 %)", "unrelated (5 %)", "of the way to unrelated")
    return data_table(header, rows) if rows else ""


def models_table(found: Found) -> str:
    """Held-out likelihood, calibration of z's posterior, amortisation gap; empty where none was measured."""
    rows: list[tuple[str, str, str, str]] = []
    for rival, words in (("still", "the same model at its mean z"), ("consensus", "the consensus map")):
        if gain := (found.get("held_out") or {}).get(rival):
            value = f"{gain['gain']:+.2f} ± {gain['error']:.2f} nats per particle"
            share = f"above 0; {percent(gain['share'])} of the particles gain"
            rows.append(("Held-out likelihood", f"motion over {words}", value, share))
    calibration = found.get("calibration") or {}
    if calibration.get("width") is not None:
        inside = f"1; {percent(calibration['within_one_sigma'])} lie within one deviation (68 % expected)"
        rows.append(("Calibration", "z's uncertainty is too small by", f"{calibration['width']:.2f} ×", inside))
    gap = found.get("amortisation") or {}
    if gap.get("gap") is not None:
        value = f"{gap['gap']:.2f} ± {gap['error']:.2f} nats per particle"
        rows.append(("Amortisation gap", "gained by refining z image by image", value, "0"))
    return data_table(("", "What", "Value", "Good"), rows) if rows else ""


def sensitivity_table(rows: Sequence[Found], found: Found) -> str:
    """The unchanged run first, then each change."""
    axes = found.get("axes") or ()
    shown = (
        [("as the run", number(axes[0]["significance"], ".1f"), angstrom(axes[0]["resolution"]), "")] if axes else []
    )
    shown += [
        (row["changed"], number(row["significance"], ".1f"), angstrom(row["resolution"]), number(row["order"]))
        for row in rows
    ]
    header = ("Changed", "Best axis, deviations above chance", "Reproduces to", "Order of the particles as the run")
    return data_table(header, shown)


def agreement_table(pairs: Sequence[Found]) -> str:
    """Canonical correlations of z for each pair of runs."""
    rows = []
    for pair in pairs:
        names = " and ".join(Path(run).name for run in pair["runs"])
        for axis, value in enumerate(pair["axes"], start=1):
            rows.append((names, axis, f"{value['correlation']:.2f}", f"{value['spearman']:.2f}"))
    return data_table(("Runs", "Axis", "Canonical correlation", "Rank correlation"), rows)
