"""How the fit went: the loss per pass, and whether it was still falling at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hypermol.report.charts import MUTED, PALETTE, axis, layout, line
from hypermol.report.data import ReportData
from hypermol.report.markup import Section, paragraph, percent

PANELS = (
    ("loss", "Loss per particle"),
    ("kl", "KL divergence per particle"),
    ("apart", "Real from made images"),
    ("gap", "The critic"),
)
ALONGSIDE = {
    "loss": (("loss", "loss"), ("nll", "misfit to the images")),
    "kl": (("kl", "KL"),),
    "apart": (("apart", "sliced Wasserstein distance"),),
    "gap": (("gap", "D(real) - D(made)"), ("slope", "slope, 1 by its penalty")),
}
ALIASES = {"kl": ("kl", "divergence")}


def learning_section(data: ReportData) -> Section | None:
    """Charts of what the log holds, one row per pass."""
    rows = [row for row in data.log if row.get("event") == "pass" and ("loss" in row or "gap" in row)]
    charts = {}
    for panel, title in PANELS:
        traces = [
            line(
                words,
                range(len(rows)),
                _column(rows, name),
                PALETTE[number],
                mode=_mode(rows),
                hovertemplate=_hover(words),
            )
            for number, (name, words) in enumerate(ALONGSIDE[panel])
            if np.isfinite(_column(rows, name)).any()
        ]
        if panel == "loss" and len(traces) == 2 and _same(rows):
            traces = traces[:1]
        if traces:
            charts[panel] = {"data": traces, "layout": _layout(title, rows, len(traces) > 1)}
    if not charts:
        return None
    columns = "".join(f'<div class="chart" data-chart="{panel}"></div>' for panel in charts)
    sentence = convergence_sentence(_column(rows, "loss"))
    body = (
        (paragraph(sentence) if sentence else "")
        + f'<div class="chart-row">{columns}</div>'
        + _speed(rows, "kl" in charts)
    )
    return Section("learning", "Learning curve", body, {"charts": charts})


def convergence_sentence(loss: Sequence[float]) -> str:
    """Whether the loss was still falling: its fall over the last fifth of the passes against the whole fall."""
    known = np.asarray(loss, dtype=float)
    known = known[np.isfinite(known)]
    if len(known) < 4:
        return f"{len(known)} passes are too few to say whether the fit has converged." if len(known) else ""
    tail = max(1, len(known) // 5)
    whole, late = known[0] - known.min(), known[-1 - tail] - known[-1]
    if whole <= 0:
        return (
            "The loss never fell: the model has not learned. Check the contrast sign, the poses and the learning rate."
        )
    share = late / whole
    if share < -0.02:
        return "The loss rose at the end: try a smaller learning rate."
    span = "the last pass" if tail == 1 else f"the last {tail} passes"
    if share > 0.05:
        fell = f"{percent(share)} of its whole fall in {span}"
        return f"The loss was still falling at the end ({fell}): more passes may help."
    return f"The loss has levelled off ({percent(max(share, 0), 1)} of its whole fall in {span})."


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    names = ALIASES.get(name, (name,))
    values = [next((row[known] for known in names if known in row), None) for row in rows]
    return [float(value) if isinstance(value, int | float) else float("nan") for value in values]


def _same(rows: Sequence[Mapping[str, Any]]) -> bool:
    loss, misfit = np.array(_column(rows, "loss")), np.array(_column(rows, "nll"))
    return bool(np.allclose(loss, misfit, rtol=1e-9, equal_nan=True))


def _mode(rows: Sequence[Mapping[str, Any]]) -> str:
    return "lines+markers" if len(rows) <= 30 else "lines"


def _hover(words: str) -> str:
    return f"pass %{{x}}: {words} %{{y:.6g}}<extra></extra>"


def _layout(title: str, rows: Sequence[Mapping[str, Any]], legend: bool) -> dict[str, Any]:
    """Phases are separated by dotted lines with their names."""
    names = [str(row.get("phase", "")) for row in rows]
    starts = [0, *(index for index in range(1, len(names)) if names[index] != names[index - 1])]
    shapes, words = [], []
    if len(starts) > 1:
        for start in starts:
            shapes.append(
                {"type": "line", "x0": start - 0.5, "x1": start - 0.5, "yref": "paper", "y0": 0, "y1": 1}
                | {"line": {"color": "#b6bfc8", "width": 1, "dash": "dot"}}
            )
            words.append(
                {"x": start - 0.5, "y": 1, "yref": "paper", "text": names[start], "showarrow": False}
                | {"xanchor": "left", "yanchor": "top", "font": {"size": 11, "color": MUTED}}
            )
    ticks = {"dtick": 1} if len(rows) <= 12 else {}
    limits = [-0.5, len(rows) - 0.5]
    return layout(
        axis("pass", range=limits, **ticks),
        axis(title, tickformat="~g"),
        height=300,
        shapes=shapes,
        annotations=words,
        showlegend=legend,
    )


def _speed(rows: Sequence[Mapping[str, Any]], with_kl: bool) -> str:
    rates = [rate for rate in _column(rows, "images_per_second") if np.isfinite(rate)]
    seconds = [value for value in _column(rows, "seconds") if np.isfinite(value)]
    meaning = "The KL divergence is how much z is used; near zero, the model ignores it." if with_kl else ""
    if not rates:
        return paragraph(meaning, "note") if meaning else ""
    speed = f"{len(rows)} passes, {np.median(rates):,.0f} images per second, {_duration(sum(seconds))}."
    return paragraph(f"{speed} {meaning}".strip(), "note")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s in all"
    return f"{seconds / 60:.0f} min in all" if seconds < 5400 else f"{seconds / 3600:.1f} h in all"
