"""How alike the conformations of a family are: FSCCC matrices, found and true."""

from __future__ import annotations

from typing import Any

import numpy as np

from hypermol.report.charts import axis, layout
from hypermol.report.data import ReportData
from hypermol.report.markup import Section, paragraph

TITLES = {"fsccc": "found", "fsccc_true": "true"}


def conformations_section(data: ReportData) -> Section | None:
    """One picture per matrix, in one scale of colours."""
    shown = {name: data.matrices[name] for name in TITLES if name in data.matrices}
    if not shown:
        return None
    least = min(float(np.min(matrix)) for matrix in shown.values())
    charts = {name: _chart(matrix, TITLES[name], least) for name, matrix in shown.items()}
    columns = "".join(f'<div class="chart" data-chart="{name}"></div>' for name in charts)
    beside = " and, on the right, of the true maps at the same shares of the particles" if len(shown) > 1 else ""
    sentence = (
        f"Area under the FSC of every two of {len(shown['fsccc'])} maps evenly along z{beside}: 1 where two maps are "
        "the same. Blocks are discrete states, a band along the diagonal a continuous motion, one even square none."
    )
    body = f'{paragraph(sentence)}<div class="chart-row">{columns}</div>'
    return Section("conformations", "Conformations along z", body, {"charts": charts}, short="Conformations")


def _chart(matrix: np.ndarray, title: str, least: float) -> dict[str, Any]:
    trace = {
        "type": "heatmap",
        "z": [[round(float(value), 4) for value in row] for row in matrix],
        "zmin": least,
        "zmax": 1.0,
        "colorscale": "Viridis",
        "hovertemplate": "maps %{x} and %{y}: %{z:.3f}<extra></extra>",
    }
    across = axis(f"map along z, {title}", showgrid=False, constrain="domain")
    down = axis("map along z", showgrid=False, autorange="reversed", scaleanchor="x", constrain="domain")
    return {"data": [trace], "layout": layout(across, down, height=360)}
