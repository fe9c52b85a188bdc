"""The landscape: every particle a point, coloured by what one asks."""

from __future__ import annotations

from typing import Any

import numpy as np

from hypermol.landscape import Landscape
from hypermol.report.charts import PALETTE
from hypermol.report.data import Column, ReportData
from hypermol.report.markup import Section, bullets, choice, data_table, fold, packed, percent, text
from hypermol.shapes import Float, Int
from hypermol.shell import quoted

SHOWN = 20_000


def landscape_section(data: ReportData) -> Section | None:
    """An interactive scatter of z with cluster centres and paths; tables of components and clusters."""
    landscape = data.landscape
    if landscape is None:
        return None
    sentences = bullets(landscape.notes, "quiet")
    if not landscape.components.ratio.any():
        return Section("landscape", "Landscape", f"<p>There is nothing to draw: z does not vary.</p>{sentences}")
    rows = shown_particles(landscape)
    views = _views(landscape)
    colours = _colours(data, landscape)
    body = (
        f'{_controls(views, colours)}<div class="chart tall" data-scatter></div>'
        '<p class="selected" data-selected hidden></p>'
        f'<div class="legend" data-legend></div><p class="note">{text(_caption(landscape, len(rows)))}</p>'
        f"{sentences}{_tables(landscape)}"
    )
    return Section("landscape", "Landscape", body, _payload(data, landscape, rows, views, colours))


def _controls(views: list[dict[str, Any]], colours: list[dict[str, Any]]) -> str:
    controls = ""
    if len(views) > 1:
        buttons = choice("view", [(view["name"], view["title"]) for view in views], "Axes")
        controls += f'<div class="control"><h4>Axes</h4>{buttons}</div>'
    buttons = choice("colour-by", [(colour["name"], colour["title"]) for colour in colours], "Colour by")
    return f'<div class="controls">{controls}<div class="control"><h4>Colour by</h4>{buttons}</div></div>'


def _caption(landscape: Landscape, shown: int) -> str:
    marked = "classes" if landscape.clusters.of_classes else "cluster centres"
    caption = f"Numbers mark the {marked}; hover for the particle. Zoom by dragging, double-click to go back."
    caption += " A box drawn with the selection tool gives the command that writes the particles in it."
    if shown < landscape.clusters.considered:
        caption = f"{shown:,} of {landscape.clusters.considered:,} particles shown. {caption}"
    if landscape.z.shape[1] == 1:
        caption += " Height has no meaning: particles are spread so that they can be seen."
    return caption


def shown_particles(landscape: Landscape, limit: int = SHOWN) -> Int[np.ndarray, " m"]:
    """Rows of at most ``limit`` particles with a z, seeded, always with the cluster centres; those that have a place
    in the UMAP picture come first."""
    known = np.flatnonzero(np.isfinite(landscape.z).all(axis=1))
    if known.size <= limit:
        return known
    keep = landscape.clusters.particle
    order = np.random.default_rng(landscape.seed).permutation(np.setdiff1d(known, keep))
    if landscape.embedding is not None:
        placed = np.isfinite(landscape.embedding[order, 0])
        order = np.concatenate([order[placed], order[~placed]])
    return np.sort(np.concatenate([keep, order[: limit - len(keep)]]))


def _views(landscape: Landscape) -> list[dict[str, Any]]:
    """Pairs of axes: principal components, and UMAP where there is one. -1 means a spread without meaning."""
    ratio = landscape.components.ratio
    names = [
        f"principal component {number + 1} ({percent(share)} of the variance)" for number, share in enumerate(ratio)
    ]
    if len(ratio) == 1:
        return [{"name": "z", "title": "z", "columns": [0, -1], "labels": ["z (centred)", ""], "within": ["pc1"]}]
    pairs = [(0, 1)] + ([(0, 2), (1, 2)] if len(ratio) > 2 else [])
    views = [
        {
            "name": f"pc{a + 1}{b + 1}",
            "title": f"PC {a + 1} and {b + 1}",
            "columns": [a, b],
            "labels": [names[a], names[b]],
            "within": [f"pc{a + 1}", f"pc{b + 1}"],
        }
        for a, b in pairs
    ]
    if landscape.embedding is not None:
        umap = {"name": "umap", "title": "UMAP", "columns": "umap", "labels": ["UMAP 1", "UMAP 2"]}
        views.append({**umap, "within": ["umap1", "umap2"]})
    return views


def _colours(data: ReportData, landscape: Landscape) -> list[dict[str, Any]]:
    """What the points can be coloured by: name, words, values per particle."""
    found: list[dict[str, Any]] = [
        _category("cluster", landscape.clusters.kind.capitalize(), landscape.clusters.label, landscape.clusters.first)
    ]
    if landscape.density.count > 1:
        found.append(_category("density", "Density group", landscape.density.label))
    columns = list(data.columns)
    rotation = data.estimates.get("rotation")
    if rotation is not None and len(rotation) == len(landscape.z):
        columns += euler_columns(np.asarray(rotation, dtype=float))
    if data.defocus is not None:
        columns.append(Column("Defocus", np.asarray(data.defocus, dtype=float) / 1e4, "µm"))
    for number, column in enumerate(columns):
        values = np.asarray(column.values, dtype=float)
        if len(values) == len(landscape.z) and np.isfinite(values).any():
            found.append(
                {"name": f"column{number}", "title": column.label, "unit": column.unit, "kind": "number"}
                | {"cyclic": column.cyclic, "values": values}
            )
    return found


def euler_columns(rotation: Float[np.ndarray, "N 3 3"]) -> list[Column]:
    """RELION's Euler angles in degrees: rot and tilt give the viewing direction, psi the in-plane angle."""
    rot = np.degrees(np.arctan2(rotation[:, 2, 1], rotation[:, 2, 0]))
    tilt = np.degrees(np.arccos(np.clip(rotation[:, 2, 2], -1, 1)))
    psi = np.degrees(np.arctan2(rotation[:, 1, 2], -rotation[:, 0, 2]))
    return [
        Column("Viewing direction: rot", rot, "°", cyclic=True),
        Column("Viewing direction: tilt", tilt, "°"),
        Column("In-plane angle: psi", psi, "°", cyclic=True),
    ]


def _category(name: str, title: str, label: Int[np.ndarray, " N"], first: int = 0) -> dict[str, Any]:
    words = {"name": name, "title": title, "unit": "", "kind": "category"}
    return {**words, "cyclic": False, "first": first, "values": label}


def _payload(
    data: ReportData,
    landscape: Landscape,
    rows: Int[np.ndarray, " m"],
    views: list[dict[str, Any]],
    colours: list[dict[str, Any]],
) -> dict[str, Any]:
    shown = landscape.coordinates[rows, :3].astype(np.float32)
    payload: dict[str, Any] = {
        "run": quoted(data.run),
        "particle": packed(rows.astype(np.int32)),
        "coordinates": packed(shown.T),
        "views": views,
        "palette": PALETTE,
        "colours": [{**c, "values": packed(_compact(c["values"][rows]))} for c in colours],
        "centres": landscape.components.project(landscape.clusters.centre)[:, :3],
        "centre_particles": landscape.clusters.particle,
        "paths": [
            {"name": path.name, "title": path.title, "coordinates": landscape.components.project(path.z)[:, :3]}
            for path in landscape.paths
        ],
    }
    if landscape.embedding is not None:
        payload["embedding"] = packed(landscape.embedding[rows].T.astype(np.float32))
        payload["centre_embedding"] = landscape.embedding[landscape.clusters.particle]
    if data.micrograph is not None and len(data.micrograph) == len(landscape.z):
        names, index = np.unique(np.asarray(data.micrograph)[rows].astype(str), return_inverse=True)
        payload |= {"micrographs": names, "micrograph": packed(index.astype(np.int32))}
    if data.defocus is not None and len(data.defocus) == len(landscape.z):
        payload["defocus"] = packed((np.asarray(data.defocus)[rows] / 1e4).astype(np.float32))
    return payload


def _compact(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32 if values.dtype.kind == "f" else np.int32)


def _tables(landscape: Landscape) -> str:
    ratio = landscape.components.ratio
    components = data_table(
        ("Component", "Variance", "Share", "Together"),
        [
            (number + 1, f"{variance:.4g}", percent(share, 1), percent(together, 1))
            for number, (variance, share, together) in enumerate(
                zip(landscape.components.variance, ratio, np.cumsum(ratio))
            )
        ],
    )
    clusters = landscape.clusters
    groups = data_table(
        (clusters.kind.capitalize(), "Particles", "Share", "Nearest particle"),
        [
            (number, f"{size:,}", percent(size / clusters.size.sum(), 1), f"{particle}")
            for number, (size, particle) in enumerate(zip(clusters.size, clusters.particle), start=clusters.first)
        ],
    )
    return fold("Principal components", components) + fold("Classes" if clusters.of_classes else "Clusters", groups)
