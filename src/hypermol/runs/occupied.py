"""One job at a time in a run folder: two would throw away each other's checkpoints and mix their logs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from hypermol.errors import ConfigError

MARK = ".occupied"
"""In the run folder: who works there, or did last. What keeps others out is a lock on it, which the system takes back
however a process ends."""


@contextlib.contextmanager
def occupied(path: Path, first: bool = True) -> Iterator[None]:
    """While the block lasts, no other job can work in the run folder ``path``. Of several processes of one job only the
    ``first`` asks; on a file system without locks nobody is kept out.

    Raises ConfigError where another job does.
    """
    if not first:
        yield
        return
    descriptor = os.open(path / MARK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # some network file systems say the latter
            who = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
            raise ConfigError(
                f"{path}: {who} is working there already; wait for it, or stop it (after SIGTERM it saves its state) "
                "and try again"
            ) from None
        except OSError:
            pass
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
