"""Files that appear whole or not at all: written beside, flushed to the disk, then renamed."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO


def sync_folder(folder: Path) -> None:
    """Make a rename inside ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_unfinished(path: Path) -> bool:
    """Whether ``path`` is what a killed ``atomic_file`` leaves behind."""
    return path.name.startswith(".") and path.name.endswith(".part") and path.is_file()


def remove_unfinished(folder: Path) -> None:
    """Remove what killed writers left in ``folder``. Only the job that owns the folder may do so."""
    for path in folder.iterdir():
        if is_unfinished(path):
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """The name of a temporary neighbour of ``path``, for a library that opens files itself; on success it is flushed
    to the disk and replaces ``path``, else it is removed."""
    path = Path(path)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-", suffix=".part")
    os.close(descriptor)
    try:
        os.chmod(name, 0o666 & ~_umask())
        yield Path(name)
        with open(name, "rb+") as stream:
            os.fsync(stream.fileno())
        os.replace(name, path)
        sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary neighbour of ``path`` for writing; on success it replaces ``path``, else it is removed."""
    with atomic_path(path) as part, open(part, "wb") as stream:
        yield stream


def write_text(path: Path, text: str) -> None:
    """Atomically replace ``path`` by ``text`` (UTF-8)."""
    with atomic_file(path) as stream:
        stream.write(text.encode())


def write_with(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Atomically replace ``path`` by what ``write(stream)`` writes."""
    with atomic_file(path) as stream:
        write(stream)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
