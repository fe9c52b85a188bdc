"""Lists of 0-based numbers as people write them."""

from __future__ import annotations

import numpy as np

from hypermol.errors import ConfigError


def numbers(text: str, count: int, what: str) -> np.ndarray:
    """``"0,2,5-7"`` → [0, 2, 5, 6, 7], each below ``count``. Raises ConfigError that names the first bad one."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise ConfigError(f"{part!r}: expected numbers from 0, such as 0,2,5-7")
        found.extend(range(int(first), int(last or first) + 1))
    if outside := [number for number in found if number >= count]:
        raise ConfigError(f"there is no {what} {outside[0]}: they are numbered 0 to {count - 1}")
    return np.array(sorted(set(found)), dtype=np.int64)
