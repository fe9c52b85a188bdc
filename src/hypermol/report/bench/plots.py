"""Plots of a benchmark as inline SVG: a dot for each seed, the images' own limit as a dashed line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hypermol.report.markup import text

WIDTH, LABEL, ROW, TOP, BOTTOM, RIGHT = 760, 220, 30, 10, 40, 64
COLOURS = {"hypermol": "#1f5f7a", "cryodrgn": "#d1751f", "relion": "#7a5ea8", "recovar": "#2a8a6d"}
OTHER = "#6b7885"


@dataclass(frozen=True)
class Dots:
    """One row of a plot: its label, whose it is (for the colour), one value for each seed."""

    label: str
    family: str
    values: tuple[float, ...]


def dot_plot(rows: Sequence[Dots], title: str, unit: str, limit: float | None, low: float | None = None) -> str:
    """Values along one axis, a row for each entrant. limit: a dashed line, the images' own limit. low: where the axis
    begins at the latest (0 for figures of which 0 is nothing). Values far below are drawn at the left edge."""
    every = [value for row in rows for value in row.values]
    start, end = _span(every, limit, low)
    height = TOP + ROW * len(rows) + BOTTOM
    place = _Axis(start, end)
    parts = [_grid(place, height)]
    if limit is not None:
        parts.append(_limit(place.x(limit), height))
    parts += [_row(row, TOP + ROW * (index + 0.5), place, unit) for index, row in enumerate(rows)]
    named = f"{title}{f' ({unit})' if unit else ''}"
    parts.append(f'<text class="axis" x="{(LABEL + WIDTH - RIGHT) / 2}" y="{height - 5}">{text(named)}</text>')
    return _svg(height, f"{named} of {len(rows)} entrants", parts)


def bar_plot(rows: Sequence[Dots], title: str, unit: str) -> str:
    """Means as bars on a logarithmic axis, for times that differ by orders of magnitude."""
    means = [sum(row.values) / len(row.values) for row in rows]
    low = 10 ** math.floor(math.log10(max(min(means), 1e-3)))
    high = 10 ** math.ceil(math.log10(max(*means, low * 10)))
    height = TOP + ROW * len(rows) + BOTTOM
    place = _Axis(math.log10(low), math.log10(high))
    decades = [10.0**k for k in range(round(math.log10(low)), round(math.log10(high)) + 1)]
    parts = [_line(place.x(math.log10(v)), height) + _tick(place.x(math.log10(v)), height, f"{v:g}") for v in decades]
    for index, (row, mean) in enumerate(zip(rows, means)):
        y, width = TOP + ROW * index + 7, place.x(math.log10(max(mean, low))) - LABEL
        parts.append(_label(row.label, y + ROW / 2 - 7))
        parts.append(
            f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{ROW - 14}" fill="{_colour(row.family)}"/>'
        )
        parts.append(f'<text class="value" x="{LABEL + width + 6:.1f}" y="{y + 12}">{_number(mean)}</text>')
    parts.append(f'<text class="axis" x="{(LABEL + WIDTH - RIGHT) / 2}" y="{height - 5}">{text(title)} ({unit})</text>')
    return _svg(height, f"{title} of {len(rows)} entrants", parts)


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float

    def x(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return LABEL + min(max(share, 0.0), 1.0) * (WIDTH - LABEL - RIGHT)

    def ticks(self) -> list[float]:
        raw = (self.high - self.low) / 8
        power = 10 ** math.floor(math.log10(raw))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _span(values: Sequence[float], limit: float | None, low: float | None) -> tuple[float, float]:
    known = [*values, *([] if limit is None else [limit])]
    start, end = min(known), max(known)
    if low is not None and end <= low:  # every one below nothing: there is no range above it to give room to
        end = low
    elif low is not None:
        start = min(low, max(start, low - 0.25 * max(end - low, 1e-9)))
    room = 0.06 * max(end - start, 1e-6, abs(end) * 1e-3)
    return (start if low is not None and start == low else start - room), end + room


def _row(row: Dots, y: float, place: _Axis, unit: str) -> str:
    colour, mean = _colour(row.family), sum(row.values) / len(row.values)
    spread = [place.x(value) for value in (min(row.values), max(row.values))]
    dots = "".join(
        f'<circle cx="{place.x(value):.1f}" cy="{y}" r="4.5" fill="{colour}" fill-opacity="0.75">'
        f"<title>{_number(value)} {text(unit)}</title></circle>"
        for value in row.values
    )
    bar = f'<line x1="{spread[0]:.1f}" x2="{spread[1]:.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"/>'
    end = WIDTH - RIGHT + 8
    return f'{_label(row.label, y)}{bar}{dots}<text class="value" x="{end}" y="{y + 4}">{_number(mean)}</text>'


def _grid(place: _Axis, height: float) -> str:
    return "".join(_line(place.x(v), height) + _tick(place.x(v), height, _number(v)) for v in place.ticks())


def _line(x: float, height: float) -> str:
    return f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{height - BOTTOM}"/>'


def _tick(x: float, height: float, words: str) -> str:
    return f'<text class="tick" x="{x:.1f}" y="{height - BOTTOM + 15}">{words}</text>'


def _limit(x: float, height: float) -> str:
    title = "<title>the images' own limit</title>"
    return f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{height - BOTTOM}">{title}</line>'


def _label(words: str, y: float) -> str:
    return f'<text class="label" x="{LABEL - 12}" y="{y + 4}">{text(words)}</text>'


def _colour(family: str) -> str:
    return COLOURS.get(family, OTHER)


def _number(value: float) -> str:
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3f}".rstrip("0").rstrip(".") if abs(value) < 10 else f"{value:.1f}"


def _svg(height: float, words: str, parts: Sequence[str]) -> str:
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{text(words)}">{"".join(parts)}</svg>'
    )
