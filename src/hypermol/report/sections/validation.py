"""Is the motion real? What two runs on the halves of the data say of each other, the verdict first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypermol.report.data import ReportData, ValidationShown
from hypermol.report.markup import Section, bullets, paragraph
from hypermol.report.pictures import contact_sheet
from hypermol.report.sections.resolution import fsc_chart
from hypermol.report.sections.validation_charts import chance_chart, landscapes_chart, populations_chart
from hypermol.report.sections.validation_tables import (
    LANDSCAPES,
    agreement_table,
    landscapes_table,
    models_table,
    orders_table,
    sensitivity_table,
    states_table,
)
from hypermol.shell import quoted

AXES_NOTE = (
    "Left: how far the two halves agree on the change of the map along each axis of z, each from its own images and by "
    "its own z; it is read at 0.143. Right: the same in one number, in standard deviations above what turned copies of "
    "the same maps give by chance; an axis is called real from the dashed line on, and only above what noise in place "
    "of the images gives."
)
STATES_NOTE = (
    "Half maps of three equally populated states along the axis, each half from its own images and by its own z, "
    "beside as many particles drawn at random and the map of all: states that blur the map fall below the random third."
)
ORDER_NOTE = (
    "Two models, of which each has seen one half only, look at the same particles. Maps along an axis can be certain "
    "while the place of a single particle on it is not: then counting particles in states means little."
)
LANDSCAPES_NOTE = (
    "Maps of random particles by the model of their own half, less the mean map of that half: how the molecule moves, "
    "whatever the coordinates of z. A dot near the left range: the halves show the same landscape. Near the right "
    "range: they have no more in common than one half has with a turned copy of the other (or, in the last row, with "
    "the same distances between other pairs)."
)


def validation_section(data: ReportData) -> Section | None:
    """Verdict, axes, states, order, models, seeds and settings."""
    shown = data.validation
    if shown is None:
        return None
    charts: dict[str, Any] = {}
    parts = [_verdict(shown.found), _axes(shown, charts), _states(shown, charts)]
    parts += [_order(shown.found, charts), _landscapes(shown.found, charts)]
    if shown.found.get("latent"):
        parts += [_models(shown.found), _sensitivity(shown), _agreement(shown.found)]
    return Section("validation", "Is the motion real?", "".join(parts), {"charts": charts}, short="Validation")


def _verdict(found: Mapping[str, Any]) -> str:
    first, *rest = found.get("verdict") or ["No verdict was kept."]
    kind = "ok" if found.get("motion") else "slight"
    word = "real" if found.get("motion") else "not shown"
    mark = f'<span class="mark {kind}">{word}</span>' if found.get("latent") else ""
    return f'<div class="verdict">{mark}{paragraph(first, "lead")}</div>{bullets(rest)}'


def _axes(shown: ValidationShown, charts: dict[str, Any]) -> str:
    axes = shown.found.get("axes") or ()
    if not axes:
        return ""
    charts["axes"] = fsc_chart([shown.curve(f"axis {axis['axis']}", axis["curve"]) for axis in axes])
    charts["chance"] = chance_chart(shown.found)
    pair = '<div class="chart" data-chart="axes"></div><div class="chart" data-chart="chance"></div>'
    gallery = contact_sheet(shown.changes) if shown.changes is not None else ""
    return f'<h3>The change of the map, half against half</h3><div class="chart-row">{pair}</div>' + (
        paragraph(AXES_NOTE, "note") + gallery
    )


def _states(shown: ValidationShown, charts: dict[str, Any]) -> str:
    still, states = shown.found.get("still") or {}, shown.found.get("states") or ()
    curves = [shown.curve(state["name"].replace("-", " "), state["curve"]) for state in states]
    if still.get("curve"):
        curves.append(shown.curve(f"all particles ({still['map']})", still["curve"]))
    if not curves:
        return ""
    charts["states"] = fsc_chart(curves)
    title = "Maps of states, half against half" if states else "The map, half against half"
    note = paragraph(STATES_NOTE, "note") if states else ""
    return (
        f'<h3>{title}</h3><div class="chart" data-chart="states"></div>'
        f"{states_table(states, still, shown.found['particles'])}{note}"
    )


def _order(found: Mapping[str, Any], charts: dict[str, Any]) -> str:
    axes = [axis for axis in found.get("axes") or () if axis.get("order")]
    if not axes:
        return ""
    chosen = next((axis for axis in axes if axis["real"]), axes[0])
    charts["populations"] = populations_chart(chosen)
    return (
        "<h3>The landscape, half against half</h3>"
        f'{orders_table(axes)}<div class="chart" data-chart="populations"></div>{paragraph(ORDER_NOTE, "note")}'
    )


def _landscapes(found: Mapping[str, Any], charts: dict[str, Any]) -> str:
    by_maps = found.get("landscape_maps") or {}
    table = landscapes_table(by_maps)
    if not table:
        return paragraph(f"Landscapes by maps: {by_maps['note']}", "note") if by_maps.get("note") else ""
    charts["landscapes"] = landscapes_chart(by_maps, LANDSCAPES)
    return (
        f'<h3>The landscapes by their maps</h3><div class="chart low" data-chart="landscapes"></div>{table}'
        f"{paragraph(LANDSCAPES_NOTE, 'note')}"
    )


def _models(found: Mapping[str, Any]) -> str:
    table = models_table(found)
    if not table:
        return ""
    return f"<h3>What the models say of images never seen</h3>{table}"


def _sensitivity(shown: ValidationShown) -> str:
    rows = shown.found.get("sensitivity") or ()
    if not rows:
        words = f"Other seeds and settings were not tried: `hypermol validate {quoted(shown.run)} --sensitivity` does."
        return paragraph(words, "note")
    return f"<h3>Other seeds and settings</h3>{sensitivity_table(rows, shown.found)}"


def _agreement(found: Mapping[str, Any]) -> str:
    pairs = found.get("agreement") or ()
    if not pairs:
        return ""
    note = "Agreement of several methods on one data set is no proof: they share all its noise."
    return f"<h3>Other runs on the same particles</h3>{agreement_table(pairs)}{paragraph(note, 'note')}"
