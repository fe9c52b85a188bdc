"""The best of several hypotheses counts: the symmetrised loss (Levy et al. 2022, eq. 6)."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from hypermol.objectives.likelihood import EvidenceLowerBound, divergence_weight
from hypermol.posteriors import Hypotheses
from hypermol.specs import register


@register("objective", "symmetrised")
@dataclasses.dataclass(frozen=True)
class SymmetrisedLikelihood(EvidenceLowerBound):
    """-log p under the likeliest hypothesis + β × divergence of that hypothesis's z from its prior; β does nothing
    where z is a point."""

    words = "likelihood of the best copy"

    def loss(self, nll: Tensor, hypotheses: Hypotheses) -> Tensor:
        """Per particle, [B], from nll [B, H]."""
        least, best = nll.min(1)
        if hypotheses.divergence is None:
            return least
        divergence = hypotheses.divergence
        own = divergence if divergence.ndim == 1 else divergence.gather(1, best[:, None])[:, 0]
        return least + divergence_weight(self.beta, hypotheses) * self.price * own
