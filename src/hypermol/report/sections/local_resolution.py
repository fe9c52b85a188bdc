"""How well each place of the map is resolved: central slices, coloured."""

from __future__ import annotations

import io

import numpy as np

from hypermol.report.data import LocalResolution, ReportData
from hypermol.report.markup import Section, paragraph, picture
from hypermol.report.pictures import AXES, scale_length
from hypermol.shapes import Float

MARGIN = 1.15
COLOURS = "viridis_r"
"""Its bright end is the finer: what is resolved best stands out."""


def local_resolution_section(data: ReportData) -> Section | None:
    """The slices, and a sentence."""
    shown = data.local_resolution
    if shown is None or not (shown.angstrom > 0).any():
        return None
    inside = shown.angstrom[shown.angstrom > 0]
    low, middle, high = np.percentile(inside, [5, 50, 95])
    words = (
        f"Half of the molecule is resolved better than {middle:.1f} Å; nine tenths lie from {low:.1f} to {high:.1f} Å."
    )
    image = picture(draw_slices(shown), "Central slices of the map, coloured by local resolution")
    caption = (
        "Slices through the centre of the map, coloured by the resolution around each place (FSC of the half maps in a "
        "window; local-resolution.mrc), grey where none was found or outside the mask."
    )
    figure = f'<figure class="sphere">{image}<figcaption>{caption}</figcaption></figure>'
    return Section("local-resolution", "Local resolution", paragraph(words) + figure)


def draw_slices(shown: LocalResolution) -> bytes:
    """PNG: slices through the origin along z, y and x side by side; to the right and up as in the gallery of maps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 2.55), dpi=150)
    FigureCanvasAgg(figure)
    half = _half_width(shown.angstrom)
    box = shown.angstrom.shape[0]
    middle = slice(box // 2 - half, box // 2 + half)
    inside = shown.angstrom[shown.angstrom > 0]
    low, high = np.percentile(inside, [2, 98])
    if high - low < 1e-3:
        low, high = low - 0.5, high + 0.5
    colours = ScalarMappable(Normalize(low, high), COLOURS)
    dark, bright = np.percentile(shown.density, [1, 99.9])
    width = 2 * half * shown.pixel_size
    for number, letter in enumerate(AXES):
        axes = figure.add_axes((0.01 + 0.3 * number, 0.01, 0.285, 0.9))
        grey = np.take(shown.density, box // 2, axis=number)[middle, middle]
        colour = np.take(shown.angstrom, box // 2, axis=number)[middle, middle]
        axes.imshow(grey, cmap="gray", vmin=dark, vmax=bright, origin="lower", interpolation="bilinear")
        share = np.clip((grey - dark) / max(bright - dark, 1e-30), 0.25, 1.0)
        painted = colours.to_rgba(colour)
        painted[..., 3] = np.where(colour > 0, share, 0)
        axes.imshow(painted, origin="lower", interpolation="bilinear")
        axes.set_title(f"along {letter}", fontsize=9, color="#5d6b78", pad=3)
        axes.set_axis_off()
        if number == 0:
            length = scale_length(width) / shown.pixel_size
            axes.plot([0.04 * 2 * half, 0.04 * 2 * half + length], [0.06 * 2 * half] * 2, color="white", linewidth=2)
            words = f"{length * shown.pixel_size:g} Å"
            axes.text(0.04 * 2 * half, 0.09 * 2 * half, words, color="white", fontsize=8)
    bar = figure.colorbar(colours, cax=figure.add_axes((0.915, 0.12, 0.014, 0.7)))
    bar.set_label("Å", fontsize=9, color="#5d6b78", rotation=0, labelpad=6)
    bar.ax.tick_params(labelsize=8, colors="#5d6b78", length=2)
    bar.ax.invert_yaxis()
    bar.outline.set_visible(False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", facecolor="white")
    return stream.getvalue()


def _half_width(angstrom: Float[np.ndarray, "D D D"]) -> int:
    """Half the side (px) of the central square that holds all that has a colour, with a margin."""
    box = angstrom.shape[0]
    reach = max(np.abs(np.argwhere(angstrom > 0) - box // 2).max(), box // 16)
    return int(min(box // 2, np.ceil(MARGIN * reach) + 1))
