"""One type for everything an estimator can answer."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from hypermol.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Hypotheses:
    """What is known of B particles, as H weighted hypotheses each.

    A point is H = 1; samples H = S; keep-n H = n; a closed-form Gaussian is H = 1 with a covariance. The forward
    model broadcasts over H; objectives reduce it by mean, log-sum-exp or minimum.

    rotation [B, H, 3, 3]; shift [B, H, 2 or 3] Å; z [B, H, d]; log_weight [B, H]; z_covariance [B, H, d, d];
    ``differentiable``: whether gradients flow back into the estimator.
    """

    rotation: Tensor | None = None
    shift: Tensor | None = None
    z: Tensor | None = None
    log_weight: Tensor | None = None
    z_covariance: Tensor | None = None
    divergence: Tensor | None = None  # KL of z's posterior from its prior, [B], or [B, H] of each hypothesis
    penalty: Tensor | None = None  # what the estimator adds to the loss of each particle in training, [B]
    differentiable: bool = False

    @property
    def size(self) -> int:
        """H; 1 where nothing is said."""
        given = (self.rotation, self.shift, self.z, self.log_weight)
        return max((t.shape[1] for t in given if t is not None), default=1)

    @property
    def mean_divergence(self) -> Tensor:
        """The divergence of each particle [B], a mean where each hypothesis has its own."""
        if self.divergence is None:
            raise ConfigError("these hypotheses state no divergence of z from its prior")
        return self.divergence if self.divergence.ndim == 1 else self.divergence.mean(1)

    def combined(self, other: Hypotheses) -> Hypotheses:
        """Pose from one estimator and z from another. H must agree, or be 1 in either.

        Raises ConfigError when both answer for the same thing, or H differs.
        """
        mine, theirs = _given(self), _given(other)
        if twice := sorted(set(mine) & set(theirs) - {"log_weight"}):
            raise ConfigError(f"two estimators both answer for {', '.join(twice)}")
        sizes = {self.size, other.size} - {1}
        if len(sizes) > 1:
            raise ConfigError(f"hypotheses of {self.size} and {other.size} per particle cannot be combined")
        weight = self.log_weight if other.log_weight is None else other.log_weight
        if self.log_weight is not None and other.log_weight is not None:
            weight = self.log_weight + other.log_weight
        values = {**mine, **theirs, "log_weight": weight}
        return Hypotheses(**values, differentiable=self.differentiable or other.differentiable)


def _given(hypotheses: Hypotheses) -> dict[str, Tensor]:
    names = ("rotation", "shift", "z", "log_weight", "z_covariance", "divergence", "penalty")
    return {name: getattr(hypotheses, name) for name in names if getattr(hypotheses, name) is not None}


def diagonal_covariance(variance: Tensor) -> Tensor:
    """Covariance matrices [..., d, d] from variances [..., d]."""
    return torch.diag_embed(variance)
