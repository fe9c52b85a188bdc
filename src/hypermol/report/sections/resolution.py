"""Fourier shell correlation curves, read at their thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hypermol.metrics import resolution
from hypermol.report.charts import MUTED, PALETTE, axis, layout, line
from hypermol.report.data import FscCurve, ReportData
from hypermol.report.markup import Section, data_table

MARKS_A = (100, 50, 40, 30, 25, 20, 15, 12, 10, 8, 7, 6, 5, 4.5, 4, 3.5, 3, 2.5, 2, 1.5, 1)


def resolution_section(data: ReportData) -> Section | None:
    """The curves in one chart, and where each crosses its threshold."""
    if not data.fsc:
        return None
    rows = [
        (curve.label, resolution_words(curve), curve.threshold, curve.independence)
        for curve in data.fsc
        if curve.threshold is not None
    ]
    table = data_table(("Curve", "Resolution", "at FSC", "The two sides"), rows) if rows else ""
    body = f'<div class="chart" data-chart="fsc"></div>{table}'
    return Section("resolution", "Resolution", body, {"charts": {"fsc": fsc_chart(data.fsc)}})


def resolution_words(curve: FscCurve) -> str:
    """ "7.3 Å" where the curve crosses its threshold; or that it never does."""
    import torch

    if curve.threshold is None:
        return ""
    fsc = np.asarray(curve.fsc, dtype=float)
    found = curve.resolution or resolution(torch.from_numpy(fsc), curve.pixel_size, curve.threshold)
    if not np.isfinite(found):
        return "not resolved"
    if (fsc[1:] >= curve.threshold).all():
        return f"{found:.1f} Å or better (never below)"
    return f"{found:.1f} Å"


def fsc_chart(curves: Sequence[FscCurve]) -> dict[str, Any]:
    """Curves over frequency, ticks in Å, their thresholds as dashed lines."""
    traces = []
    for number, curve in enumerate(curves):
        shells = np.arange(1, len(curve.fsc))
        frequency = shells / curve.width
        resolution = [f"{1 / value:.3g}" for value in frequency]
        hover = "%{customdata} Å: %{y:.3f}<extra>" + curve.label + "</extra>"
        colour = PALETTE[number % len(PALETTE)]
        traces.append(line(curve.label, frequency, curve.fsc[1:], colour, customdata=resolution, hovertemplate=hover))
    highest = max(float(trace["x"][-1]) for trace in traces)
    lowest = min(float(np.nanmin(curve.fsc)) for curve in curves)
    shapes, words = [], []
    for threshold in sorted({curve.threshold for curve in curves if curve.threshold is not None}):
        shapes.append(
            {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": threshold, "y1": threshold}
            | {"line": {"color": "#8b97a3", "width": 1, "dash": "dash"}}
        )
        words.append(
            {"xref": "paper", "x": 1, "y": threshold, "text": f"{threshold:g}", "showarrow": False}
            | {"xanchor": "right", "yanchor": "bottom", "font": {"size": 11, "color": MUTED}}
        )
    x = axis("resolution (Å)", range=[0, highest * 1.01], **_ticks(highest))
    y = axis("Fourier shell correlation", range=[min(-0.05, max(lowest - 0.05, -0.5)), 1.04])
    return {"data": traces, "layout": layout(x, y, height=340, shapes=shapes, annotations=words, showlegend=True)}


def _ticks(highest: float) -> dict[str, Any]:
    """Round resolutions, none closer together than a tenth of the axis."""
    chosen: list[float] = []
    for mark in MARKS_A:
        if 1 / mark <= highest and (not chosen or 1 / mark - 1 / chosen[-1] > 0.09 * highest):
            chosen.append(mark)
    return {"tickvals": [1 / mark for mark in chosen], "ticktext": [f"{mark:g}" for mark in chosen]}
