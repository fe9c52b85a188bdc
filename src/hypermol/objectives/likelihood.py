"""Gaussian likelihood of images, and the evidence lower bound built on it."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from hypermol.imaging import gaussian_nll
from hypermol.objectives.predict import predicted_images
from hypermol.particles import Batch
from hypermol.posteriors import Hypotheses
from hypermol.specs import register
from hypermol.volumes import Volume


def negative_log_likelihood(volume: Volume, hypotheses: Hypotheses, batch: Batch) -> Tensor:
    """-log p(images | hypothesis) up to a constant, summed over a particle's valid images, [B, H]."""
    residual = batch.images[:, None] - predicted_images(volume, hypotheses, batch)
    per_image = gaussian_nll(residual, batch.variance[:, None], batch.lattice.weight)
    return (per_image * batch.valid[:, None]).sum(-1)


@register("objective", "elbo")
@dataclasses.dataclass(frozen=True)
class EvidenceLowerBound:
    """Mean of -log p over hypotheses + β × divergence of z from its prior (Zhong et al. 2020, eq. 9).

    With the noise variance measured from the data, β = 1 is the bound itself. cryoDRGN's default, 1/d on a loss whose
    noise is not halved, is β = 1/(2d) here.
    """

    beta: float = 1.0

    def loss(self, nll: Tensor, hypotheses: Hypotheses) -> Tensor:
        """Per particle, [B], from nll [B, H]."""
        value = nll.mean(1)
        if hypotheses.divergence is not None:
            value = value + self.beta * hypotheses.divergence
        return value
