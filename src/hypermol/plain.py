"""Plain data: what JSON can hold, and reading it back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypermol.errors import DataError


def plain(value: Any) -> Any:
    """Arrays and tensors as lists, their scalars as numbers, tuples as lists, paths and keys as text; numbers that are
    not finite as None, since JSON has none of them."""
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy and torch alike, neither of which is needed here
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """What a JSON file holds by name.

    Raises DataError, which names the file and ends with the ``remedy`` (what to do), where it cannot be read or holds
    something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); {remedy}") from error
    except ValueError as error:
        raise DataError(f"{path} cannot be read (it is damaged, or no JSON: {error}); {remedy}") from error
    if not isinstance(found, dict):
        raise DataError(f"{path}: expected values by name, found something else; {remedy}")
    return found
