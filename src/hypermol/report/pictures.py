"""Maps as pictures: projections and central slices, grey as in the field, with a scale bar in Å."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

from hypermol.report.data import MapSeries
from hypermol.report.density import SIDE_VIEW, bounds, strongest
from hypermol.report.markup import choice, picture, text
from hypermol.shapes import Float

AXES = ("z", "y", "x")
SHOWN_PX = 160
KINDS = (("projection", "Projections"), ("slice", "Central slices"))


def scale_length(width: float) -> float:
    """A round length (1, 2 or 5 times a power of ten, Å) of about a quarter of ``width`` Å."""
    aim = width / 4
    power = 10.0 ** np.floor(np.log10(aim))
    return float(max(step * power for step in (1, 2, 5) if step * power <= aim))


def crop_half_width(maps: Sequence[Float[np.ndarray, "D D D"]]) -> int:
    """Half the side (px) of the central square that holds what stands out in any map, with a margin."""
    box = np.asarray(maps[0]).shape[0]
    reach = max(abs(edge - box // 2) for low, high in bounds(strongest(maps)) for edge in (low, high - 1))
    return int(min(box // 2, max(np.ceil(1.2 * reach) + 1, box // 8)))


def view(volume: Float[np.ndarray, "D D D"], kind: str, axis: int, half_width: int) -> Float[np.ndarray, "w w"]:
    """The projection along ``axis`` (0 z, 1 y, 2 x) or the slice through the origin, cropped about the origin.

    Of the two remaining axes the one later in (z, y, x) runs to the right, the other upwards.
    """
    box = volume.shape[0]
    image = volume.sum(axis=axis) if kind == "projection" else np.take(volume, box // 2, axis=axis)
    low = box // 2 - half_width
    return image[low : low + 2 * half_width, low : low + 2 * half_width]


def jpeg_grey(image: Float[np.ndarray, "h w"], low: float, high: float, size: int = SHOWN_PX) -> bytes:
    """``image`` as JPEG (of noise, PNG is three times as large), black at ``low`` and white at ``high``, the first
    row at the bottom, smoothly resampled to about ``size`` px."""
    from PIL import Image

    grey = np.clip((image - low) / max(high - low, 1e-30), 0, 1)
    shown = Image.fromarray(np.uint8(np.round(255 * grey[::-1])))
    factor = size / max(shown.size)
    shown = shown.resize([max(1, round(side * factor)) for side in shown.size], Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    shown.save(stream, format="JPEG", quality=88)
    return stream.getvalue()


def contact_sheet(series: MapSeries, axis: int = SIDE_VIEW, columns_hint: int = 5) -> str:
    """All maps of a series side by side, with buttons for projections or slices and for the axis (at first
    ``axis``: 0 z, 1 y, 2 x).

    All pictures of one kind and axis share their grey levels, so that maps can be compared.
    """
    maps = [np.asarray(volume, dtype=np.float32) for volume in series.maps]
    half_width = crop_half_width(maps)
    width = 2 * half_width * series.pixel_size
    sheets = []
    for kind, _ in KINDS:
        for number, letter in enumerate(AXES):
            images = [view(volume, kind, number, half_width) for volume in maps]
            low, high = _signed_range(images) if series.signed else _grey_range(images)
            cells = "".join(
                _cell(jpeg_grey(image, low, high), f"{kind} along {letter}", series.caption(index), width)
                for index, image in enumerate(images)
            )
            hidden = "" if (kind, number) == ("projection", axis) else " hidden"
            sheets.append(f'<div class="sheet" data-kind="{kind}" data-axis="{letter}"{hidden}>{cells}</div>')
    note = "".join(f'<p class="note">{text(sentence)}</p>' for sentence in series.notes)
    return (
        f'<figure class="contact" data-contact style="--columns:{min(len(maps), columns_hint)}">'
        f'<div class="controls">{choice("kind", KINDS, "Projections or slices")}'
        f"{choice('axis', [(letter, f'along {letter}') for letter in AXES], 'Axis', pressed=axis)}</div>"
        f"{''.join(sheets)}<figcaption>{text(series.title)}. {_size_words(series, width)}</figcaption>"
        f"{note}</figure>"
    )


def _grey_range(images: Sequence[Float[np.ndarray, "w w"]]) -> tuple[float, float]:
    values = np.concatenate([image.ravel() for image in images])
    low, high = np.percentile(values, [1.0, 99.8])
    if high <= low:
        low, high = float(values.min()), float(values.max())
    return float(low), float(high)


def _signed_range(images: Sequence[Float[np.ndarray, "w w"]]) -> tuple[float, float]:
    largest = max(float(np.abs(image).max()) for image in images)
    return -largest, largest


def _cell(jpeg: bytes, kind: str, caption: str, width: float) -> str:
    length = scale_length(width)
    bar = (
        f'<span class="scale" style="width:{100 * length / width:.2f}%"></span>'
        f'<span class="scale-words">{length:g} Å</span>'
    )
    shown = picture(jpeg, f"{kind}: {caption}")
    return f'<div class="cell"><div class="frame">{shown}{bar}</div><div class="words">{text(caption)}</div></div>'


def _size_words(series: MapSeries, width: float) -> str:
    shown = "whole box shown" if width >= series.width * 0.999 else f"central {width:.0f} Å shown"
    return f"Box {series.box} px at {series.width / series.box:.4g} Å/px ({series.width:.0f} Å), {shown}."
