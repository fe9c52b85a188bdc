"""Checkpoints: named tensors (safetensors) and plain data (JSON) in one folder each, the newest few kept.

A checkpoint is written into a hidden folder, flushed, and renamed, so any folder with a plain name is whole.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hypermol.atomic import sync_folder, write_text, write_with
from hypermol.errors import DataError

FORMAT = 1
KEPT = 2


def save(folder: Path, tensors: Mapping[str, torch.Tensor], data: Mapping[str, Any]) -> Path:
    """Write the next checkpoint under ``folder`` and drop all but the newest few.

    Raises OSError when the disk is full; earlier checkpoints are then untouched.
    """
    from safetensors.torch import save as serialise

    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)
    _remove_unfinished(folder)
    earlier = _finished(folder)
    number = int(earlier[-1].name) + 1 if earlier else 1
    target, part = folder / f"{number:09d}", folder / f".{number:09d}.part"
    part.mkdir()
    try:
        # copies: safetensors refuses tensors that share memory
        plain = {name: _as_real(tensor) for name, tensor in tensors.items()}
        write_with(part / "tensors.safetensors", lambda stream: stream.write(serialise(plain)))
        complex_names = sorted(name for name, tensor in tensors.items() if tensor.is_complex())
        content = {"format": FORMAT, "complex": complex_names, "data": dict(data)}
        write_text(part / "data.json", json.dumps(content, indent=1))
        os.replace(part, target)
        sync_folder(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    for old in [*earlier, target][:-KEPT]:
        _remove(old)
    return target


def load_latest(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """Tensors and data of the newest checkpoint, or None where there is none. Raises DataError when unreadable."""
    finished = _finished(folder)
    return load(finished[-1]) if finished else None


def latest_data(folder: Path) -> dict[str, Any] | None:
    """The data alone of the newest checkpoint, or None where there is none. Raises DataError when unreadable."""
    finished = _finished(folder)
    return _content(finished[-1])["data"] if finished else None


def load(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors (on the CPU) and data of one checkpoint folder. Raises DataError when unreadable or newer."""
    from safetensors import SafetensorError
    from safetensors.torch import load as deserialise

    content = _content(path)
    try:
        read = deserialise((path / "tensors.safetensors").read_bytes())
    except (OSError, ValueError, SafetensorError) as error:
        raise _unreadable(path, error) from error
    # cloned into torch's own memory, which is aligned: matrix products may round differently on memory that is not
    tensors = {name: tensor.clone() for name, tensor in read.items()}
    for name in content["complex"]:
        tensors[name] = torch.view_as_complex(tensors[name])
    return tensors, content["data"]


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads((path / "data.json").read_text())
        newer = content["format"] > FORMAT
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(path, error) from error
    if newer:
        raise DataError(f"{path}: checkpoint format {content['format']} is newer than this hypermol (format {FORMAT})")
    return content


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: this checkpoint cannot be read ({error}); remove the folder to use the one before it")


def _finished(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name.isdigit())


def _remove_unfinished(folder: Path) -> None:
    for path in folder.glob(".*.part"):
        shutil.rmtree(path, ignore_errors=True)


def _remove(checkpoint: Path) -> None:
    """Hidden first, so that a kill half-way leaves no half folder with a plain name."""
    hidden = checkpoint.with_name(f".{checkpoint.name}.part")
    os.replace(checkpoint, hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def _as_real(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.detach()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor)
    return tensor.to("cpu", copy=True).contiguous()
