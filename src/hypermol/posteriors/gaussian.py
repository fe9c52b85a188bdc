"""Gaussian posteriors and priors of z."""

from __future__ import annotations

from torch import Tensor

from hypermol.shapes import Float


def standard_normal_divergence(mean: Float[Tensor, "*b d"], log_variance: Float[Tensor, "*b d"]) -> Float[Tensor, "*b"]:
    """KL( N(mean, diag exp log_variance) ‖ N(0, 1) ) in nats (Kingma & Welling 2014, appendix B)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)
