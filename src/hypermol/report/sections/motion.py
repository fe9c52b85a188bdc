"""The moving molecule: an isosurface with a slider along a path; or one map, at rest."""

from __future__ import annotations

import dataclasses

from hypermol.report.data import MapSeries, ReportData
from hypermol.report.density import prepare_scenes, telling_axis
from hypermol.report.markup import Section, choice, text
from hypermol.report.pictures import contact_sheet


def motion_section(data: ReportData) -> Section | None:
    """Paths through the landscape in 3-D; where there is none, the first map of the run alone, standing still."""
    moving = bool(data.motions)
    scenes = prepare_scenes(data.motions or tuple(_first(series) for series in data.maps[:1]))
    if not scenes:
        return None
    body = f'<div class="viewer" data-viewer>{_stage(moving)}{_panel([s.series for s in scenes], moving)}</div>'
    body += _note("" if moving else scenes[0].series.caption(0)) + "".join(
        _strip(scene.series, index) for index, scene in enumerate(scenes) if moving
    )
    title = "The molecule in motion" if moving else "The map"
    data_of = {"scenes": [scene.payload() for scene in scenes]}
    return Section("motion", title, body, data_of, short="Motion" if moving else "")


def _first(series: MapSeries) -> MapSeries:
    """Its first map alone: half maps and the like are other estimates of it, not places that the molecule goes to."""
    return dataclasses.replace(series, maps=series.maps[:1], captions=(series.caption(0),), coordinates=None)


def _stage(moving: bool) -> str:
    transport = (
        '<div class="transport">'
        '<button type="button" class="play" data-play aria-label="Play" title="Play (space)">'
        '<svg viewBox="0 0 24 24" aria-hidden="true"><path class="icon-play" d="M8 5v14l11-7z"/>'
        '<path class="icon-pause" d="M7 5h4v14H7zM13 5h4v14h-4z"/></svg></button>'
        '<input type="range" data-frame min="0" max="0" step="1" value="0" aria-label="Position along the path">'
        "<output data-frame-words></output></div>"
    )
    return (
        '<div class="stage-column"><div class="stage"><canvas data-stage tabindex="0" '
        'aria-label="Isosurface of the map; drag to turn"></canvas>'
        '<div class="stage-scale"><span></span><em></em></div>'
        '<div class="zoom"><button type="button" data-zoom="1.2" aria-label="Zoom in">+</button>'
        '<button type="button" data-zoom="0.8333" aria-label="Zoom out">−</button>'
        '<button type="button" data-reset aria-label="Reset the view" title="Reset the view">⟲</button></div></div>'
        f"{transport if moving else ''}</div>"
    )


def _panel(all_series: list[MapSeries], moving: bool) -> str:
    paths = ""
    if len(all_series) > 1:
        options = [(series.name, series.title) for series in all_series]
        paths = f'<div class="control"><h4>Path</h4>{choice("path", options, "Path")}</div>'
    colour = ghost = inset = ""
    if moving:
        options = [("change", "What moves"), ("plain", "Plain")]
        colour = (
            f'<div class="control"><h4>Colour</h4>{choice("colour", options, "Colour of the surface")}'
            '<div class="ramp" data-ramp><span>still</span><i></i><span>moves</span></div></div>'
        )
        ghost = '<label class="check"><input type="checkbox" data-ghost> Keep the first map as a shadow</label>'
        inset = '<div class="control inset" data-inset hidden><h4>Where we are</h4><canvas></canvas></div>'
    level = (
        '<div class="control"><h4><label for="level">Contour level</label></h4>'
        '<input type="range" id="level" data-level min="5" max="240" step="1"><output data-level-words></output></div>'
    )
    return f'<div class="panel">{paths}{inset}{colour}{level}{ghost}</div>'


def _note(still: str) -> str:
    """``still``: the caption of the map shown where nothing moves."""
    note = "Drag to turn, use + and − or pinch to zoom, double-click to reset."
    if still:
        note = f"Shown: {still}. {note}"
    else:
        note += (
            " Between two maps of a path the density is interpolated linearly; the maps themselves are those of the "
            "model at the points shown."
        )
    return f'<p class="note" data-viewer-note>{text(note)}</p>'


def _strip(series: MapSeries, index: int) -> str:
    hidden = "" if index == 0 else " hidden"
    return f'<div data-strip="{text(series.name)}"{hidden}>{contact_sheet(series, telling_axis(series.maps))}</div>'
