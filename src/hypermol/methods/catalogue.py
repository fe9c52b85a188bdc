"""The methods by name."""

from __future__ import annotations

from typing import Any

from hypermol.errors import ConfigError
from hypermol.methods.autodecoder import AUTODECODER
from hypermol.methods.backprojection import BACKPROJECTION
from hypermol.methods.cryodrgn import CRYODRGN
from hypermol.methods.neural_homogeneous import NEURAL_HOMOGENEOUS

METHODS = {method.name: method for method in (BACKPROJECTION, CRYODRGN, AUTODECODER, NEURAL_HOMOGENEOUS)}


def find_method(name: str) -> Any:
    """The method called ``name``. Raises ConfigError with the known names."""
    if name not in METHODS:
        raise ConfigError(f"unknown method {name!r}; known: {', '.join(METHODS)} (`hypermol methods` describes them)")
    return METHODS[name]
