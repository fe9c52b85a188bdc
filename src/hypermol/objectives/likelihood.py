"""Gaussian likelihood of images, and the evidence lower bound built on it."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from torch import Tensor

from hypermol.imaging import gaussian_nll
from hypermol.objectives.predict import predicted_images
from hypermol.particles import Batch
from hypermol.posteriors import Hypotheses
from hypermol.shapes import Complex, Float
from hypermol.specs import NonNegative, register
from hypermol.volumes import Volume


def negative_log_likelihood(volume: Volume, hypotheses: Hypotheses, batch: Batch) -> Tensor:
    """-log p(images | hypothesis) up to a constant, summed over a particle's valid images, [B, H]."""
    return residual_nll(residuals(volume, hypotheses, batch), batch)


def residuals(volume: Volume, hypotheses: Hypotheses, batch: Batch) -> Complex[Tensor, "b h j p"]:
    """Images less what is predicted of them."""
    return batch.images[:, None] - predicted_images(volume, hypotheses, batch)


def residual_nll(residual: Complex[Tensor, "b h j p"], batch: Batch) -> Float[Tensor, "b h"]:
    """``negative_log_likelihood`` of residuals that are at hand."""
    per_image = gaussian_nll(residual, batch.variance[:, None], batch.lattice.weight)
    return (per_image * batch.valid[:, None]).sum(-1)


def divergence_weight(beta: float | None, hypotheses: Hypotheses) -> float:
    """β, or cryoDRGN's 1/(2d) where it is unset."""
    dimensions = 1 if hypotheses.z is None else hypotheses.z.shape[-1]
    return 1 / (2 * dimensions) if beta is None else beta


@register("objective", "elbo")
@dataclasses.dataclass(frozen=True)
class EvidenceLowerBound:
    """Mean of -log p over hypotheses + β × divergence of z from its prior (Zhong et al. 2020, eq. 9).

    With the noise variance measured from the data, β = 1 is the bound itself. None is cryoDRGN's default: 1/d on a loss
    whose noise is not halved, so 1/(2d) here; z is then used from the start and its posterior is somewhat too narrow.
    ``price`` multiplies β for a while (a phase's divergence_weight). ``misfit``: see ``objectives.misfit``; not in the
    paper.
    """

    beta: Annotated[
        NonNegative | None,
        "weight of z's divergence from its prior; 1: the bound itself; unset: cryoDRGN's, 1/(2 z_dim)",
    ] = None
    price: Annotated[NonNegative, "factor of beta"] = 1.0
    misfit: Annotated[bool, "what the volume leaves unexplained so far counts as noise"] = False

    words = "evidence lower bound"

    def loss(self, nll: Tensor, hypotheses: Hypotheses) -> Tensor:
        """Per particle, [B], from nll [B, H]."""
        value = nll.mean(1)
        if hypotheses.divergence is not None:
            value = value + divergence_weight(self.beta, hypotheses) * self.price * hypotheses.mean_divergence
        return value
