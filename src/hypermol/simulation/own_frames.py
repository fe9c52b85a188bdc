"""A family of maps against the true one where every map may have come in a frame of its own.

With even views no image tells in which frame a conformation lies: V(z) and V(z) turned by any R(z), or mirrored, have
the same distribution of projections. The figures of ``family_figures`` (one alignment of all maps) ask for more than
such images hold; these ask for what they do hold, in two ways: maps aligned one by one, where the homogeneous map that
they are compared with is given the same freedom; and one alignment of all after ``laid_still``, which knows no truth
and finds frames (and hands) in which maps differ least, for the true ones too. Gupta et al. 2020 say nothing of it.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor

from hypermol.maps import MapAlignment, align_maps, laid_still, refine_alignment
from hypermol.metrics import fsc, fsccc, fsccc_distance
from hypermol.shapes import Float
from hypermol.simulation.family import true_family
from hypermol.simulation.truth import Truth

COARSE = 4
"""Shells up to which placements are searched; they are refined on all."""

PAIRED = 10
"""Maps whose pairs are laid on each other: half of a matrix takes half a minute."""


def own_frame_figures(maps: Float[Tensor, "n d d d"], truth: Truth) -> dict[str, dict[str, Any]]:
    """Figures of n maps evenly along z, name → {"value", "unit", "how"}: the ends, each aligned by itself with its true
    map, beside the noise-free mean map aligned by itself with either; the FSCCC error of pairs laid on each other; and
    ends and FSCCC error after ``laid_still``, of true maps too.
    """
    true, mean = true_family(truth, len(maps)), truth.mean_map().float()
    ends = {(place, other): _at_half(maps[place].float(), true[other]) for place in (0, -1) for other in (0, -1)}
    turned = ends[0, -1] + ends[-1, 0] > ends[0, 0] + ends[-1, -1]
    figures: dict[str, dict[str, Any]] = {}
    for name, other in (("first", 0), ("last", -1)):
        found = ends[-1 - other if turned else other, other]
        how = "aligned by itself, both hands and both directions of z tried; unmasked"
        figures[f"FSC of the {name} map at half Nyquist, by itself"] = _figure(found, how)
        rival, how = _at_half(mean, true[other]), "aligned by itself; unmasked"
        figures[f"FSC of the noise-free mean map with the {name} one there, by itself"] = _figure(rival, how)
    shown = torch.linspace(0, len(maps) - 1, PAIRED).round().long()
    pairs, known = (laid_fsccc(family[shown]) for family in (maps.float(), true))
    distance = fsccc_distance(pairs.flip(0, 1) if turned else pairs, known)
    how = f"as FSCCC error, of {PAIRED} maps laid on each other in pairs, the true ones too"
    figures["FSCCC error, in pairs"] = _figure(distance.share, how)
    figures["FSCCC error of all ones, in pairs, absolute"] = _figure(distance.all_ones, "as FSCCC error, in pairs")
    return figures | _still_figures(maps.float(), true, turned)


def _still_figures(maps: Tensor, true: Tensor, turned: bool) -> dict[str, dict[str, Any]]:
    known, found = laid_still(true), laid_still(maps.flip(0) if turned else maps)
    start = align_maps(found.mean(0), known.mean(0), band_limit=min(COARSE, maps.shape[-1] // 2 - 1))
    frame = refine_alignment(found.mean(0), known.mean(0), start)
    laid, half = torch.stack([frame.lay(map_) for map_ in found]), maps.shape[-1] // 4
    how = "after all maps were laid to where they differ least, the true ones too, and one alignment of all; unmasked"
    figures = {
        f"FSC of the {name} map at half Nyquist, laid still": _figure(float(fsc(laid[end], known[end])[half]), how)
        for name, end in (("first", 0), ("last", -1))
    }
    share = fsccc_distance(fsccc(laid.double()), fsccc(known.double())).share
    return figures | {"FSCCC error, laid still": _figure(share, how)}


def laid_fsccc(maps: Float[Tensor, "n d d d"]) -> Float[Tensor, "n n"]:
    """``fsccc`` with every two maps laid on each other first: a search lays each on the middle one, both hands tried,
    and pairs are refined from there; where the frames that they came with are better, these."""
    middle = maps[len(maps) // 2]
    laid = torch.stack([_searched(map_, middle) for map_ in maps])
    best = torch.maximum(fsccc(maps.double()), fsccc(laid.double()))
    for first, second in itertools.combinations(range(len(maps)), 2):
        placed = refine_alignment(laid[second], laid[first], _as_it_lies(laid[second])).aligned
        value = fsccc(torch.stack([laid[first], placed]).double())[0, 1]
        best[first, second] = best[second, first] = torch.maximum(best[first, second], value)
    return best


def _as_it_lies(map_: Tensor) -> MapAlignment:
    return MapAlignment(torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64), False, 0.0, map_)


def _searched(moving: Tensor, fixed: Tensor) -> Tensor:
    start = align_maps(moving, fixed, band_limit=min(COARSE, moving.shape[-1] // 2 - 1))
    return refine_alignment(moving, fixed, start).aligned


def _at_half(moving: Tensor, fixed: Tensor) -> float:
    return float(fsc(_searched(moving, fixed), fixed)[moving.shape[-1] // 4])


def _figure(value: float, how: str) -> dict[str, Any]:
    return {"value": value, "unit": "", "how": how}
