"""The contrast of a particle whose pose is known, in closed form, and how widely contrasts vary."""

from __future__ import annotations

import torch
from torch import Tensor

from hypermol.shapes import Float

ROUNDS = 50
"""Of EM; each costs one pass over the estimates, not over the images."""


def contrast_posterior(
    overlap: Float[Tensor, " b"], power: Float[Tensor, " b"], variance: float
) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
    """Mean and standard deviation of a under log p(X | a) = a overlap - a² power/2 and the prior N(1, ``variance``)."""
    precision = power + 1 / variance
    return (overlap + 1 / variance) / precision, precision.rsqrt()


def log_evidence(overlap: Float[Tensor, ...], power: Float[Tensor, ...], variance: float) -> Float[Tensor, ...]:
    """log of the integral of exp(a overlap - a² power/2) over the prior of a; ``variance`` 0: of a = 1 alone."""
    if variance <= 0:
        return overlap - power / 2
    moved = (overlap + 1 / variance).square() / (power + 1 / variance) - 1 / variance
    return (moved - torch.log1p(variance * power)) / 2


def learned_variance(
    mean: Float[Tensor, " n"], error: Float[Tensor, " n"], prior_mean: float, variance: float
) -> float:
    """The variance of a Gaussian prior under which what was found is most likely.

    mean, error: of the posteriors under N(``prior_mean``, ``variance``), so that what the data alone said of each is
    known again. EM (Dempster, Laird & Rubin 1977) from ``variance`` on; never below a millionth of it.
    """
    precision = error.double().square().reciprocal()
    own = (precision - 1 / variance).clamp(min=0)  # of the data alone
    pull = precision * (mean.double() - prior_mean)
    found = torch.as_tensor(variance, dtype=torch.float64)
    for _ in range(ROUNDS):
        precision = own + 1 / found
        found = ((pull / precision).square() + 1 / precision).mean().clamp(min=1e-6 * variance)
    return float(found)
