"""Closed-form Gaussian posterior of z, and of a particle's contrast, under a linear family of maps.

X = a C P (μ + Σ z_c U_c) + noise, z ~ N(0, 1), a ~ N(1, v). What the images say is in their Gram matrix G and their
projection B onto (μ, U_1 … U_K) (``kernels.slice_moments``): with ẑ = (1, z),

    -2 log p(X | a, ẑ) = const - 2 a ẑ·B + a² ẑᵀGẑ.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from hypermol.shapes import Float

ROUNDS = 5  # of z given a, a given z


@dataclasses.dataclass(frozen=True, eq=False)
class GaussianPosterior:
    """mean [B, K], covariance [B, K, K] of z; contrast [B] and its variance [B]; log_evidence [B]: the evidence lower
    bound of log p(X) - log p(X | no molecule), which is exact where the contrast is fixed. float64."""

    mean: Float[Tensor, "b k"]
    covariance: Float[Tensor, "b k k"]
    contrast: Float[Tensor, " b"]
    contrast_variance: Float[Tensor, " b"]
    log_evidence: Float[Tensor, " b"]

    def moments(self) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b c c"]]:
        """E[a ẑ] and E[a² ẑ ẑᵀ] with ẑ = (1, z): what an M-step needs."""
        extended = _extended(self.mean)
        second = extended[:, :, None] * extended[:, None]
        second[:, 1:, 1:] += self.covariance
        squared = self.contrast**2 + self.contrast_variance
        return self.contrast[:, None] * extended, squared[:, None, None] * second


def gaussian_posterior(
    gram: Float[Tensor, "b c c"], projection: Float[Tensor, "b c"], contrast_variance: float = 0.0
) -> GaussianPosterior:
    """The posterior of K = C - 1 coordinates (Tipping & Bishop 1999, eq. 6-8, with a projection per image).

    ``contrast_variance``: v, the prior's; 0 fixes a = 1. Otherwise the posterior is a product q(a) q(z), each factor
    the best one given the other (mean field), ``ROUNDS`` times in turn from a = 1.
    """
    gram, projection = gram.double(), projection.double()
    contrast, spread = torch.ones_like(projection[:, 0]), torch.zeros_like(projection[:, 0])
    mean, covariance, evidence = _conformation(gram, projection, contrast, spread)
    if contrast_variance > 0:
        for _ in range(ROUNDS):
            contrast, spread = _contrast(gram, projection, mean, covariance, contrast_variance)
            mean, covariance, evidence = _conformation(gram, projection, contrast, spread)
        ratio = spread / contrast_variance
        evidence = evidence - 0.5 * (ratio + (contrast - 1) ** 2 / contrast_variance - 1 - ratio.log())
    return GaussianPosterior(mean, covariance, contrast, spread, evidence)


def truncated(gram: Tensor, projection: Tensor, components: int) -> tuple[Tensor, Tensor]:
    """Gram matrix and projection of the mean and the first ``components`` alone."""
    kept = components + 1
    return gram[:, :kept, :kept], projection[:, :kept]


def _conformation(gram: Tensor, projection: Tensor, contrast: Tensor, spread: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    squared = contrast**2 + spread
    identity = torch.eye(gram.shape[1] - 1, dtype=gram.dtype, device=gram.device)
    precision = identity + squared[:, None, None] * gram[:, 1:, 1:]
    pull = contrast[:, None] * projection[:, 1:] - squared[:, None] * gram[:, 1:, 0]
    factor = torch.linalg.cholesky(precision)
    mean = torch.cholesky_solve(pull[..., None], factor)[..., 0]
    log_volume = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    rigid = contrast * projection[:, 0] - 0.5 * squared * gram[:, 0, 0]
    return mean, torch.cholesky_inverse(factor), rigid + 0.5 * (pull * mean).sum(-1) - log_volume


def _contrast(
    gram: Tensor, projection: Tensor, mean: Tensor, covariance: Tensor, prior: float
) -> tuple[Tensor, Tensor]:
    """Mean and variance of a given q(z)."""
    extended = _extended(mean)
    power = torch.einsum("na,nab,nb->n", extended, gram, extended)
    power = power + (gram[:, 1:, 1:] * covariance).sum((-2, -1))
    precision = power + 1 / prior
    return ((extended * projection).sum(-1) + 1 / prior) / precision, 1 / precision


def _extended(mean: Tensor) -> Tensor:
    """ẑ = (1, z), also where there is no component."""
    return torch.cat([mean.new_ones(len(mean), 1), mean], 1)
