"""The figures of metrics.json for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def in_words(name: str, entry: Mapping[str, Any]) -> str:
    """The value of a figure {"value", "unit", "how"} with its unit: "8.2 Å". One that was infinite or not a number, and
    so is stored as null: "not reached" where it is a resolution (in Å), else "no value"."""
    value, unit = entry.get("value"), str(entry.get("unit") or "")
    if value is None:
        return "not reached" if unit == "Å" or name.startswith("resolution") else "no value"
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    return f"{shown} {unit}".strip()
