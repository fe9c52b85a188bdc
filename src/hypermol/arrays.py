"""Arrays from .npz files that may be damaged, or something else altogether."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from hypermol.errors import DataError

DAMAGED = (ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


def read_npz(path: Path, remedy: str) -> dict[str, np.ndarray]:
    """All arrays of an .npz file by name. Pickles are never loaded.

    Raises DataError, which names the file and ends with the ``remedy`` (what to do), where it cannot be read.
    """
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as data:
            return {name: data[name] for name in data.files}
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or 'it is damaged'}); {remedy}") from error
    except (*DAMAGED, AttributeError, TypeError) as error:  # the last two: a single array
        raise DataError(f"{path} cannot be read (it is damaged, or no .npz file); {remedy}") from error
