"""Finished stages of a validation on disk: each is written whole once, and not computed again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hypermol.arrays import read_npz
from hypermol.atomic import write_text, write_with
from hypermol.errors import DataError
from hypermol.plain import plain, read_json


@dataclasses.dataclass(frozen=True)
class Kept:
    """A folder of results by name. A result is made anew when what it depends on (``key``, plain data) has changed."""

    folder: Path

    def record(self, name: str, key: Any, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Plain data, as JSON."""
        path = self.folder / f"{name}.json"
        known = _known(read_json, path)
        if known is not None and known.get("key") == _digest(key):
            return known["value"]
        value = plain(make())
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps({"key": _digest(key), "value": value}, indent=1))
        return value

    def arrays(self, name: str, key: Any, make: Callable[[], Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Arrays, as .npz."""
        path = self.folder / f"{name}.npz"
        known = _known(read_npz, path)
        if known is not None and str(known.pop("key", "")) == _digest(key):
            return known
        value: dict[str, Any] = dict(make())
        self.folder.mkdir(parents=True, exist_ok=True)
        write_with(path, lambda stream: np.savez(stream, key=np.array(_digest(key)), **value))
        return value


def _digest(key: Any) -> str:
    return hashlib.sha256(json.dumps(plain(key), sort_keys=True).encode()).hexdigest()[:16]


def _known(read: Callable[[Path, str], dict[str, Any]], path: Path) -> dict[str, Any] | None:
    """What an earlier validation left; None where there is nothing, or nothing that can be read."""
    try:
        return read(path, "")
    except DataError:
        return None
