"""A family of maps that belong to no particle against the true one: ends, FSCCC, populations (Gupta et al. 2020)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.maps import align_maps
from hypermol.metrics import fsc, fsccc, fsccc_distance, resolution, shares_of_ends
from hypermol.simulation.truth import Truth

HALF = 0.5
HOW = "after one alignment of all maps, both hands and both directions of z tried; "


def true_family(truth: Truth, count: int) -> Tensor:
    """True maps [n, D, D, D] at ``count`` equal steps of the share of intact particles, in the order of their first
    coordinate, or of their states."""
    intact = truth.intact
    key = truth.conformation[intact, 0] if truth.dim else truth.state[intact]
    order = intact[np.argsort(key, kind="stable")]
    return truth.maps(order[np.linspace(0, len(order) - 1, count).round().astype(int)]).float()


def family_figures(maps: Tensor, truth: Truth) -> tuple[dict[str, dict[str, Any]], dict[str, np.ndarray]]:
    """Figures of n maps [n, D, D, D] evenly along z, name → {"value", "unit", "how"}, and the FSCCC matrices of both
    families, in the truth's direction."""
    mean, true = truth.mean_map().float(), true_family(truth, len(maps))
    frame = align_maps(maps.mean(0).float(), mean)
    laid = torch.stack([frame.lay(map_.float()) for map_ in maps])
    half = laid.shape[-1] // 4

    def at_half(first: Tensor, second: Tensor) -> float:
        return float(fsc(first, second)[half])

    forth = at_half(laid[0], true[0]) + at_half(laid[-1], true[-1])
    if forth < at_half(laid[0], true[-1]) + at_half(laid[-1], true[0]):
        laid = laid.flip(0)
    found_matrix, true_matrix = fsccc(laid.double()), fsccc(true.double())
    figures: dict[str, dict[str, Any]] = {}
    for name, place in (("first", 0), ("last", -1)):
        curve, known = fsc(laid[place], true[place]), true[place]
        figures[f"FSC of the {name} map at half Nyquist"] = _figure(float(curve[half]), "", f"{HOW}unmasked")
        rival = at_half(mean, known)
        figures[f"FSC of the noise-free mean map with the {name} one there"] = _figure(rival, "", "unmasked")
        reached = resolution(curve, truth.pixel_size, HALF)
        figures[f"resolution of the {name} map"] = _figure(reached, "Å", f"{HOW}FSC 0.5 with the truth, unmasked")
    distance = fsccc_distance(found_matrix, true_matrix)
    how = f"root mean square difference of the FSCCC matrices of {len(maps)} maps over that of all ones: 0 the truth"
    figures["FSCCC error"] = _figure(distance.share, "", how)
    how = (
        "root mean square difference from 1 of the true FSCCC matrix, off its diagonal: what a family that is still has"
    )
    figures["FSCCC error of all ones, absolute"] = _figure(distance.all_ones, "", how)
    for name, share in zip(("first", "last"), shares_of_ends(true_matrix)):
        figures[f"true maps like the {name} one"] = _figure(100 * share, "%", "by FSCCC with the ends")
    return figures, {"fsccc": found_matrix.numpy(), "fsccc_true": true_matrix.numpy()}


def _figure(value: float, unit: str, how: str) -> dict[str, Any]:
    return {"value": value if np.isfinite(value) else None, "unit": unit, "how": how}
