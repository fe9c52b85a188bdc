"""All entrants by name."""

from __future__ import annotations

from typing import Any

from hypermol.benchmarks.entrants.contract import Entrant
from hypermol.benchmarks.entrants.cryodrgn import CRYODRGN_ENTRANTS
from hypermol.benchmarks.entrants.ours import Ours
from hypermol.benchmarks.entrants.recovar import RECOVAR_ENTRANTS
from hypermol.benchmarks.entrants.relion import RELION_ENTRANTS
from hypermol.errors import ConfigError
from hypermol.methods import METHODS

_TINY_FIELD: dict[str, Any] = {"volume.hidden": 32, "volume.layers": 1, "epochs": 3, "learning_rate": 3e-3}
_TINY = {**_TINY_FIELD, "conformation.hidden": 32, "conformation.layers": 1}
_LONG = {"epochs": 20}
_TIERS = {"tiny": _TINY, "small": _LONG, "paper": _LONG}
_NO_ENCODER = {"tiny": _TINY_FIELD, "small": _LONG, "paper": _LONG}
_TUNED = {"volume.base": "consensus", "z_dim": 2, "batch_size": 32, "learning_rate": 1e-3}

OUR_ENTRANTS = (
    Ours("backprojection", "backprojection"),
    Ours("neural-homogeneous", "neural-homogeneous", {}, _NO_ENCODER),
    Ours("cryodrgn", "cryodrgn", {}, _TIERS),
    Ours("cryodrgn-on-consensus", "cryodrgn", _TUNED, _TIERS),
    Ours("autodecoder", "autodecoder", {}, _NO_ENCODER),
    Ours("oracle", "known-z", {"volume.base": "consensus", "batch_size": 32, "learning_rate": 1e-3}, _NO_ENCODER, True),
)
"""``cryodrgn``: z 8 and networks of 3×256 as its peer is run. ``cryodrgn-on-consensus``: the settings of the demo.
``oracle``: the same decoder, told the true z."""

_ALL: tuple[Entrant, ...] = (*OUR_ENTRANTS, *CRYODRGN_ENTRANTS, *RELION_ENTRANTS, *RECOVAR_ENTRANTS)
ENTRANTS: dict[str, Entrant] = {entrant.name: entrant for entrant in _ALL}


def find_entrant(name: str) -> Entrant:
    """The entrant called ``name``; any other method of ours or of another package enters with its own defaults.

    Raises ConfigError with those known.
    """
    if name in ENTRANTS:
        return ENTRANTS[name]
    if name in METHODS:
        return Ours(name, name)
    known = [*ENTRANTS, *(method for method in METHODS if method not in ENTRANTS)]
    raise ConfigError(f"unknown entrant {name!r}; known: {', '.join(known)}")
