"""Charts of a validation: what stands above chance, and how the particles spread over states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypermol.report.charts import MUTED, PALETTE, axis, layout
from hypermol.validation.reproduction import REAL

GREY, WARN = "#b6bfc8", "#d1751f"


def chance_chart(found: Mapping[str, Any]) -> dict[str, Any]:
    """A bar for each axis, for the best axis of the run on noise, and for each changed seed or setting."""
    bars = [
        (f"axis {a['axis']}", a["significance"], PALETTE[0] if a["real"] else GREY) for a in found.get("axes") or ()
    ]
    noise = found.get("noise")
    if noise:
        bars.append(("noise for images", noise["significance"] or 0.0, WARN))
    bars += [(row["changed"], row["significance"] or 0.0, PALETTE[6]) for row in found.get("sensitivity") or ()]
    names, values, colours = zip(*bars[::-1])  # the first on top
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": [round(float(value), 3) for value in values],
        "y": list(names),
        "marker": {"color": list(colours)},
        "hovertemplate": "%{y}: %{x:.1f} deviations above chance<extra></extra>",
    }
    line = {"type": "line", "x0": REAL, "x1": REAL, "yref": "paper", "y0": 0, "y1": 1}
    line["line"] = {"color": "#8b97a3", "width": 1, "dash": "dash"}
    words = {"x": REAL, "y": 1, "yref": "paper", "text": f"real from {REAL:g}", "showarrow": False}
    words |= {"xanchor": "left", "yanchor": "bottom", "font": {"size": 11, "color": MUTED}}
    low, high = min(0.0, *values), max(1.4 * REAL, 1.05 * max(values))
    x = axis("standard deviations above chance", range=[1.1 * low, high])
    drawn = layout(x, axis("", ticks=""), height=340, shapes=[line], annotations=[words], bargap=0.35)
    return {"data": [trace], "layout": drawn | {"margin": {"l": 56, "r": 16, "t": 26, "b": 44}}}


def landscapes_chart(by_maps: Mapping[str, Any], words: Mapping[str, str]) -> dict[str, Any]:
    """Each distance as a dot between the ranges of the same landscape and of unrelated ones."""
    shown = [(words[name], by_maps[name]) for name in reversed(tuple(words)) if by_maps.get(name)]
    traces = []
    for low, high, title, colour in (
        ("same", "same_95", "random parts of one landscape (mean to 95 %)", "#2a8a6d"),
        ("chance_5", "chance", "unrelated landscapes (5 % to mean)", WARN),
    ):
        x = [value for _, record in shown for value in (record[low], record[high], None)]
        y = [name for name, _ in shown for _ in range(3)]
        lines = {"color": colour, "width": 9}
        traces.append({"type": "scatter", "mode": "lines", "name": title, "x": x, "y": y, "line": lines})
    dots = {"type": "scatter", "mode": "markers", "name": "the two halves", "x": [r["value"] for _, r in shown]}
    traces.append(dots | {"y": [name for name, _ in shown], "marker": {"color": PALETTE[0], "size": 12}})
    x_axis = axis("distance over that of independent pairing", range=[0, 1.08])
    return {"data": traces, "layout": layout(x_axis, axis("", ticks=""), height=220, showlegend=True)}


def populations_chart(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Share of all particles in each of three states along an axis, by either half's model."""
    populations = chosen["order"]["populations"]
    names = ["low", "middle", "high"] if len(populations[0]) == 3 else [str(n) for n in range(len(populations[0]))]
    traces = [
        {
            "type": "bar",
            "name": f"by the model of half {half}",
            "x": names,
            "y": [round(100 * float(value), 3) for value in share],
            "marker": {"color": PALETTE[half - 1]},
            "hovertemplate": f"%{{x}}: %{{y:.1f}} % by the model of half {half}<extra></extra>",
        }
        for half, share in enumerate(populations, start=1)
    ]
    x, y = axis(f"state along axis {chosen['axis']}"), axis("% of all particles", rangemode="tozero")
    return {"data": traces, "layout": layout(x, y, height=300, barmode="group", bargap=0.35, showlegend=True)}
