"""Lists and ranges of numbers as people write them."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from hypermol.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np


def numbers(text: str, count: int, what: str, first: int = 0) -> np.ndarray:
    """``"0,2,5-7"`` → [0, 2, 5, 6, 7], places among ``count``; where people count from 1 (``first``), one less each.
    Raises ConfigError that names the first bad one."""
    import numpy as np

    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,15})\s*(?:-\s*([0-9]{1,15})\s*)?", part)
        if match is None:
            such = f"{first},{first + 2},{first + 5}-{first + 7}"
            raise ConfigError(f"{part.strip()!r}: expected {what} numbers from {first}, such as {such}")
        begin, end = int(match[1]), int(match[2] or match[1])
        if end < begin:
            raise ConfigError(f"{part.strip()!r}: expected the smaller number first, {end}-{begin}")
        if begin < first or end >= count + first:
            missing = begin if begin < first else max(begin, count + first)
            raise ConfigError(f"there is no {what} {missing}: they are numbered {first} to {count - 1 + first}")
        found.update(range(begin - first, end - first + 1))
    return np.array(sorted(found), dtype=np.int64)


def interval(text: str) -> tuple[str, float, float]:
    """``"pc1=-1:0.5"`` → ("pc1", -1.0, 0.5); either end may be left out. Raises ConfigError for anything else."""
    name, equals, ends = text.partition("=")
    low, colon, high = ends.partition(":")
    try:
        found = float(low) if low.strip() else -math.inf, float(high) if high.strip() else math.inf
    except ValueError:
        found = math.nan, math.nan
    if not (name.strip() and equals and colon and found[0] <= found[1]):
        raise ConfigError(f"{text!r}: expected NAME=LOW:HIGH, such as pc1=-1:0.5 or contrast=0.8:")
    return name.strip(), *found
