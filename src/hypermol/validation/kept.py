"""Finished stages of a validation on disk: each is written whole once, and not computed again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from hypermol.atomic import write_text, write_with


@dataclasses.dataclass(frozen=True)
class Kept:
    """A folder of results by name. A result is made anew when what it depends on (``key``, plain data) has changed."""

    folder: Path

    def record(self, name: str, key: Any, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Plain data, as JSON."""
        path = self.folder / f"{name}.json"
        known = _read_json(path)
        if known is not None and known.get("key") == _digest(key):
            return known["value"]
        value = plain(make())
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps({"key": _digest(key), "value": value}, indent=1))
        return value

    def arrays(self, name: str, key: Any, make: Callable[[], Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Arrays, as .npz."""
        path = self.folder / f"{name}.npz"
        known = _read_arrays(path)
        if known is not None and str(known.pop("key", "")) == _digest(key):
            return known
        value: dict[str, Any] = dict(make())
        self.folder.mkdir(parents=True, exist_ok=True)
        write_with(path, lambda stream: np.savez(stream, key=np.array(_digest(key)), **value))
        return value


def plain(value: Any) -> Any:
    """Plain data: arrays as lists, numbers that are not finite as None (JSON has none)."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray | Tensor):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def _digest(key: Any) -> str:
    return hashlib.sha256(json.dumps(plain(key), sort_keys=True).encode()).hexdigest()[:16]


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _read_arrays(path: Path) -> dict[str, np.ndarray] | None:
    try:
        with np.load(path, allow_pickle=False) as data:
            return {name: data[name] for name in data.files}
    except (OSError, ValueError, EOFError):
        return None
