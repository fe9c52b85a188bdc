"""From which sides the molecule was seen: the sphere of viewing directions, in equal areas."""

from __future__ import annotations

import io

import numpy as np

from hypermol.report.data import ReportData
from hypermol.report.markup import Section, paragraph, picture
from hypermol.shapes import Float, Int

PER_CELL = 8
FINE_ORDER = 4


def coverage_section(data: ReportData) -> Section | None:
    """A map of the sphere, and a sentence."""
    rotation = data.estimates.get("rotation")
    if rotation is None or not len(rotation):
        return None
    direction = np.asarray(rotation, dtype=float)[:, 2, :]
    direction = direction[np.isfinite(direction).all(axis=1)]
    if not len(direction):
        return None
    order = cell_order(len(direction))
    counts = cell_counts(direction, order)
    width = spread_deg(order)
    image_of = smoothed(cell_counts(direction, FINE_ORDER), width)
    png = draw_sphere(*image_of)
    image = picture(png, "Map of the sphere of viewing directions, coloured by how often each was seen")
    caption = (
        "Viewing directions in the molecule's frame (Mollweide projection), smoothed over "
        f"{width:.0f}°. 1 is what uniform views would give. "
        "Rot runs to the right, the poles are tilt 0° (top) and 180°."
    )
    figure = f'<figure class="sphere">{image}<figcaption>{caption}</figcaption></figure>'
    return Section("poses", "Pose coverage", paragraph(coverage_sentence(counts)) + figure)


def cell_order(count: int) -> int:
    """The finest HEALPix order (12 · 4^order cells, 1 to 4) with 8 particles per cell on average."""
    return int(np.clip(np.floor(np.log(max(count, 1) / (12 * PER_CELL)) / np.log(4)), 1, 4))


def cell_counts(direction: Float[np.ndarray, "n 3"], order: int) -> Int[np.ndarray, " c"]:
    """Particles per HEALPix cell (Górski et al. 2005, ring order) of unit vectors."""
    import healpix

    side = 2**order
    cell = healpix.vec2pix(side, *direction.T)
    return np.bincount(cell, minlength=12 * side * side)


def coverage_sentence(counts: Int[np.ndarray, " c"]) -> str:
    """How uneven the views are. A view and its opposite show mirrored projections, so gaps count for both together."""
    import healpix

    side = round(np.sqrt(len(counts) / 12))
    x, y, z = healpix.pix2vec(side, np.arange(len(counts)))
    both = counts + counts[healpix.vec2pix(side, -x, -y, -z)]
    relative = both / both.mean()
    empty, top = float(np.mean(both == 0)), float(relative.max())
    thin = float(np.mean(relative < 0.2))
    if empty > 0.1:
        return (
            f"{empty:.0%} of the sphere was seen by no particle, not even from the opposite side: "
            "the maps are less reliable, and smeared, along the missing directions."
        )
    if thin > 0.25 or top > 5:
        return (
            f"Views are uneven: the most frequent direction is {top:.1f} times as common as in a uniform set, and "
            f"{thin:.0%} of the sphere is thinly covered. Resolution differs between directions."
        )
    return (
        f"No side of the molecule is missing; the most frequent direction is {top:.1f} times as common as in a uniform "
        "set (opposite views counted together)."
    )


def spread_deg(order: int) -> float:
    """The width that smooths counts over about one cell of HEALPix ``order``: the root of its area, in degrees."""
    return float(np.degrees(np.sqrt(4 * np.pi / (12 * 4**order))))


def smoothed(
    counts: Int[np.ndarray, " c"], width_deg: float
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """Longitude, latitude (radians) and density relative to uniform on a grid, from ``counts`` per HEALPix cell.

    The kernel is that of Fisher (1953) on the sphere, exp(cos(angle)/s²), s = half of ``width_deg``.
    """
    import healpix

    side = round(np.sqrt(len(counts) / 12))
    filled = np.flatnonzero(counts)
    cells = np.stack(healpix.pix2vec(side, filled)).astype(np.float32)
    longitude, latitude = np.meshgrid(np.linspace(-np.pi, np.pi, 121), np.linspace(-np.pi / 2, np.pi / 2, 61))
    point = np.stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], axis=-1
    ).astype(np.float32)
    sharp = 1 / np.radians(width_deg / 2) ** 2
    weight = np.exp(sharp * (point @ cells - 1))
    # mean of the kernel over the sphere
    uniform = (1 - np.exp(-2 * sharp)) / (2 * sharp)
    return longitude, latitude, weight @ (counts[filled] / counts.sum()) / uniform


def draw_sphere(
    longitude: Float[np.ndarray, "h w"], latitude: Float[np.ndarray, "h w"], relative: Float[np.ndarray, "h w"]
) -> bytes:
    """PNG of ``relative`` density in the Mollweide projection."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.0), dpi=150)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.03, 0.16, 0.94, 0.83), projection="mollweide")
    top = max(2.0, float(np.percentile(relative, 99.5)))
    mesh = axes.pcolormesh(
        longitude, latitude, relative, cmap="YlGnBu", vmin=0, vmax=top, shading="gouraud", rasterized=True
    )
    axes.grid(color="#3b4a56", alpha=0.18, linewidth=0.6)
    axes.spines["geo"].set_color("#aab6c0")
    axes.set_xticks(np.deg2rad([-120, -60, 0, 60, 120]))
    axes.set_yticks(np.deg2rad([-60, -30, 0, 30, 60]))
    axes.set_xticklabels([])
    axes.set_yticklabels([f"{angle}°" for angle in (150, 120, 90, 60, 30)], fontsize=8, color="#5d6b78")
    bar = figure.colorbar(mesh, cax=figure.add_axes((0.3, 0.11, 0.4, 0.025)), orientation="horizontal")
    bar.set_label("particles relative to uniform", fontsize=9, color="#5d6b78")
    bar.ax.tick_params(labelsize=8, colors="#5d6b78", length=2)
    bar.outline.set_visible(False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", facecolor="white")
    return stream.getvalue()
