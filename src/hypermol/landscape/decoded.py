"""Maps at points of z: decoded a few at a time, so that many large maps never sit in memory together."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from hypermol.errors import ConvergenceError, DataError
from hypermol.shapes import Float

Decode = Callable[[Float[np.ndarray, "n d"]], Float[np.ndarray, "n D D D"]]


def decoded(decode: Decode, z: Float[np.ndarray, "n d"], chunk: int = 1) -> Iterator[Float[np.ndarray, "D D D"]]:
    """The maps [z, y, x] at the rows of ``z`` in turn, ``chunk`` decoded at once.

    Raises DataError when ``decode`` does not give one cube per row, ConvergenceError when a map is not finite.
    """
    for start in range(0, len(z), chunk):
        points = np.ascontiguousarray(z[start : start + chunk], dtype=np.float32)
        maps = np.asarray(decode(points), dtype=np.float32)
        if maps.ndim != 4 or len(maps) != len(points) or len(set(maps.shape[1:])) != 1:
            raise DataError(f"decode: expected {len(points)} cubic maps, found an array of shape {maps.shape}")
        for offset, volume in enumerate(maps):
            if not np.isfinite(volume).all():
                raise ConvergenceError(
                    f"the map at point {start + offset} (z = {points[offset]}) holds NaN or infinite values; "
                    "the model may have diverged, see the log of the run"
                )
            yield volume
