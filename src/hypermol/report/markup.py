"""Small pieces of HTML. Whatever comes from a file is escaped here and nowhere else."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hypermol.plain import plain


@dataclass(frozen=True)
class Section:
    """A part of the page: ``anchor`` in the address, ``title`` (``short`` in the navigation), its
    ``body`` (HTML), and ``data`` for its script."""

    anchor: str
    title: str
    body: str
    data: dict[str, Any] = field(default_factory=dict)
    short: str = ""


def text(value: object) -> str:
    """``value`` as text that is safe in HTML and attributes."""
    return html.escape(str(value), quote=True)


def prose(sentence: object) -> str:
    """A sentence that is safe in HTML; what stands in `backticks` is a command or a name."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text(sentence))


def percent(share: float, digits: int = 0) -> str:
    """0.78 as "78 %"."""
    return f"{100 * share:.{digits}f} %"


def paragraph(sentence: str, kind: str = "") -> str:
    """A paragraph of ``prose``, with an optional CSS class."""
    return f'<p class="{kind}">{prose(sentence)}</p>' if kind else f"<p>{prose(sentence)}</p>"


def bullets(sentences: Iterable[str], kind: str = "") -> str:
    """A list of sentences; an empty string when there are none."""
    items = "".join(f"<li>{prose(sentence)}</li>" for sentence in sentences)
    return f'<ul class="{kind}">{items}</ul>' if items else ""


def facts_table(rows: Iterable[tuple[str, str]]) -> str:
    """Two columns: name and value."""
    cells = "".join(f"<tr><th scope='row'>{text(name)}</th><td>{text(value)}</td></tr>" for name, value in rows)
    return f'<table class="facts"><tbody>{cells}</tbody></table>' if cells else ""


def data_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with a header row; numbers are right-aligned by the style sheet's ``num`` class."""
    head = "".join(f"<th scope='col'>{text(name)}</th>" for name in header)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f'<div class="scroll"><table class="data"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(value: object) -> str:
    shown = text(value)
    number = isinstance(value, int | float | np.number) or shown.replace(",", "").replace(".", "").isdigit()
    return f'<td class="num">{shown}</td>' if number else f"<td>{shown}</td>"


def fold(summary: str, body: str) -> str:
    """Something long, closed at first."""
    return f"<details><summary>{text(summary)}</summary>{body}</details>"


def choice(name: str, options: Sequence[tuple[str, str]], label: str, pressed: int = 0) -> str:
    """A row of buttons (value, words) of which one is pressed.

    ``name`` is how scripts find it.
    """
    buttons = "".join(
        f'<button type="button" data-value="{text(value)}" aria-pressed="{"true" if index == pressed else "false"}">'
        f"{text(words)}</button>"
        for index, (value, words) in enumerate(options)
    )
    return f'<div class="choice" role="group" data-choice="{text(name)}" aria-label="{text(label)}">{buttons}</div>'


def picture(content: bytes, alternative: str) -> str:
    """A PNG or JPEG image inside the page."""
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f'<img alt="{text(alternative)}" src="data:image/{kind};base64,{base64.b64encode(content).decode()}">'


def json_script(identifier: str, value: Any) -> str:
    """Data for the scripts of the page; NaN and infinities become null, and no text can end the element early."""
    content = json.dumps(plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    content = content.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return f'<script type="application/json" id="{identifier}">{content}</script>'


def packed(values: np.ndarray) -> dict[str, Any]:
    """An array for the scripts, as base64 of little-endian numbers: float32, int32 or uint8."""
    values = np.asarray(values)
    kind = "f4" if values.dtype.kind == "f" else ("u1" if values.dtype == np.uint8 else "i4")
    content = np.ascontiguousarray(values, dtype=f"<{kind}").tobytes()
    return {"kind": kind, "shape": list(values.shape), "base64": base64.b64encode(content).decode()}
