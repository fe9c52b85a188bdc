"""The look that all charts share, as plain Plotly dictionaries (drawn by the script of the page)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

# colours that stay apart for most colour-blind readers (after Tol 2021, "bright" and "muted"), darkest first
PALETTE = ("#33638d", "#d1751f", "#2a8a6d", "#b8405e", "#7a5ea8", "#9a8a1f", "#3fa0c9", "#8c564b", "#6b7885", "#1f4e3d")
INK, MUTED, GRID = "#1d2730", "#5d6b78", "#e4e8ec"
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, "Liberation Sans", sans-serif'


def axis(title: str, **options: Any) -> dict[str, Any]:
    """One axis of a chart."""
    return {
        "title": {"text": title, "font": {"size": 13, "color": MUTED}, "standoff": 8},
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": "#c5ccd3",
        "ticks": "outside",
        "tickcolor": "#c5ccd3",
        "tickfont": {"size": 12, "color": MUTED},
        "automargin": True,
        **options,
    }


def layout(x: dict[str, Any], y: dict[str, Any], height: int = 320, **options: Any) -> dict[str, Any]:
    """White, quiet, with the legend above."""
    return {
        "xaxis": x,
        "yaxis": y,
        "height": height,
        "margin": {"l": 56, "r": 16, "t": 12, "b": 44},
        "font": {"family": FONT, "size": 13, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "#ffffff",
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"},
        "hoverlabel": {"font": {"family": FONT, "size": 12}, "bgcolor": "#ffffff", "bordercolor": "#c5ccd3"},
        **options,
    }


def line(name: str, x: Iterable[float], y: Iterable[float], colour: str, **options: Any) -> dict[str, Any]:
    """One curve."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [_finite(value) for value in x],
        "y": [_finite(value) for value in y],
        "line": {"color": colour, "width": 2.2, **options.pop("line", {})},
        **options,
    }


def _finite(value: float) -> float | None:
    return float(f"{float(value):.6g}") if value is not None and np.isfinite(value) else None
