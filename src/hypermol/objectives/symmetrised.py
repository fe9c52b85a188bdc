"""The best of several hypotheses counts: the symmetrised loss (Levy et al. 2022, eq. 6)."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from torch import Tensor

from hypermol.objectives.likelihood import divergence_weight
from hypermol.posteriors import Hypotheses
from hypermol.specs import NonNegative, register


@register("objective", "symmetrised")
@dataclasses.dataclass(frozen=True)
class SymmetrisedLikelihood:
    """-log p under the likeliest hypothesis + β × divergence of that hypothesis's z from its prior.

    ``beta`` and ``price`` as in ``EvidenceLowerBound``; they do nothing where z is a point.
    """

    beta: Annotated[
        NonNegative | None,
        "weight of z's divergence from its prior; 1: the bound itself; unset: cryoDRGN's, 1/(2 z_dim)",
    ] = None
    price: Annotated[NonNegative, "factor of beta"] = 1.0

    words = "likelihood of the best copy"

    def loss(self, nll: Tensor, hypotheses: Hypotheses) -> Tensor:
        """Per particle, [B], from nll [B, H]."""
        least, best = nll.min(1)
        if hypotheses.divergence is None:
            return least
        divergence = hypotheses.divergence
        own = divergence if divergence.ndim == 1 else divergence.gather(1, best[:, None])[:, 0]
        return least + divergence_weight(self.beta, hypotheses) * self.price * own
