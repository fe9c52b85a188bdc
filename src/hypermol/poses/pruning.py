"""Which candidates of a level of a pose search go on: one rule per paper, all under a cap on their number."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from hypermol.poses.scored import ScoredImages
from hypermol.shapes import Bool, Complex, Float

Pruning = Literal["number", "bound", "mass"]
"""number: the most likely n (cryoDRGN2: Zhong et al. 2021, section 3.3). bound: those whose summed error up to the
level's band is below the best candidate's error in all shells (branch and bound: Zhong et al. 2020, algorithm 1).
mass: the fewest that hold a share of the posterior (Scheres 2012, J. Struct. Biol. 180:519, adaptive oversampling)."""


def within_mass(log_likelihood: Float[Tensor, "b h"], mass: float) -> Bool[Tensor, "b h"]:
    """The fewest candidates, sorted best first, whose posterior weights sum to ``mass``; at least one."""
    weight = log_likelihood.softmax(1)
    return weight.cumsum(1) - weight < mass


def within_bound(
    log_likelihood: Float[Tensor, "b h"],
    low: ScoredImages,
    whole: ScoredImages,
    grid: Complex[Tensor, "z y x 1"],
    rotation: Float[Tensor, "b 3 3"],
    shift_px: Float[Tensor, "b d"],
) -> Bool[Tensor, "b h"]:
    """Candidates, sorted best first, that may still be the best once all shells of ``whole`` are compared; at least 1.

    log_likelihood: in the shells of ``low``; rotation, shift_px: the best of them. The bound is the sum of squared
    errors, to which shells beyond ``low`` can only add: it is safe, and prunes where these shells hold little but
    signal; where noise fills them, it prunes nothing and the cap decides.
    """
    upper = whole.log_likelihood(grid, rotation[:, None], shift_px[:, None])[0]
    beyond = whole.energy - low.energy
    kept = log_likelihood > upper - beyond[:, None]
    kept[:, 0] = True
    return kept
