"""Maps of the states along an axis, each half from its own particles by its own z: half maps that share nothing but the
poses that came with the particles."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch

from hypermol.reconstruction import Accumulators, ConsensusMaps, form_maps, insertion
from hypermol.shapes import Int

STATES = 3
BATCH = 256


def states_of(coordinate: np.ndarray, cuts: np.ndarray) -> Int[np.ndarray, " n"]:
    """0 … len(cuts): between which cuts each coordinate lies."""
    return np.searchsorted(cuts, coordinate)


def cuts_of(coordinate: np.ndarray, states: int = STATES) -> np.ndarray:
    """Where a coordinate is cut into ``states`` equally populated ones."""
    return np.quantile(coordinate, np.arange(1, states) / states)


def state_map(sources: tuple[Any, Any], chosen: tuple[np.ndarray, np.ndarray]) -> ConsensusMaps:
    """Back projection of the ``chosen`` particles (numbers within each source): half map 1 from the first source, half
    map 2 from the second. Raises DataError where either is empty."""
    sums = Accumulators.zeros(sources[0].lattice.box, device=sources[0].lattice.k.device)
    for half, (source, rows) in enumerate(zip(sources, chosen)):
        for batch in source.stream(torch.from_numpy(rows).split(BATCH)):
            insertion(dataclasses.replace(batch, half=torch.full_like(batch.half, half))).add_to(sums.data)
    return form_maps(sums, sources[0].pixel_size)
