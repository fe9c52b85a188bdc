"""Doing the next piece of work in the background while the present one is used."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
_WAIT_S = 0.2


def prefetched(source: Iterator[T], ahead: int = 2) -> Generator[T]:
    """The items of ``source``, up to ``ahead`` of them made in advance by a thread.

    An error in the thread is raised where the item was due. Leaving the loop early ends the thread. Besides the
    ``ahead`` items waiting, one is in the making and one in use.
    """
    waiting: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=max(1, ahead))
    stop = threading.Event()
    worker = threading.Thread(target=_fill, args=(source, waiting, stop), daemon=True, name="hypermol-prefetch")
    worker.start()
    try:
        while True:
            kind, item = waiting.get()
            if kind == "end":
                return
            if kind == "error":
                raise item
            yield item
            del item  # so that it can be freed while the next one is awaited
    finally:
        stop.set()
        worker.join()


def _fill(source: Iterator[T], waiting: queue.Queue[tuple[str, Any]], stop: threading.Event) -> None:
    try:
        for item in source:
            if not _put(waiting, ("item", item), stop):
                return
            del item
        _put(waiting, ("end", None), stop)
    except BaseException as error:
        _put(waiting, ("error", error), stop)


def _put(waiting: queue.Queue[tuple[str, Any]], entry: tuple[str, Any], stop: threading.Event) -> bool:
    while not stop.is_set():
        try:
            waiting.put(entry, timeout=_WAIT_S)
        except queue.Full:
            continue
        return True
    return False
