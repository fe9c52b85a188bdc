"""The methods by name: the files of this folder, then what other packages announce under ``hypermol.methods``."""

from __future__ import annotations

from typing import Any

from hypermol.errors import ConfigError
from hypermol.plugins import METHODS as GROUP
from hypermol.plugins import Catalogue, lacking

NEEDED = ("name", "source", "represents", "infers", "optimises", "needs_poses", "microbatch")
CALLED = ("program", "results", "decoder")


def _fault(value: Any) -> str | None:
    """Why this is no method: a frozen dataclass registered in the room "method" (``methods.Method``)."""
    if isinstance(value, type) or getattr(type(value), "room", None) != "method":
        return 'expected an object whose class is registered by @register("method", …)'
    return lacking(value, NEEDED + CALLED)


METHODS = Catalogue("method", "hypermol.methods", GROUP, _fault)


def find_method(name: str) -> Any:
    """The method called ``name``. Raises ConfigError with those known, or where another package's cannot be used."""
    try:
        return METHODS.find(name)
    except ConfigError as error:
        raise ConfigError(f"{error} (`hypermol methods` describes them)") from error
