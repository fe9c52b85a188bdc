"""The posterior of z of each image refined by gradient, the decoder held fixed; what the encoder's haste cost.

The amortisation gap (Cremer et al. 2018, ICML, "Inference suboptimality in variational autoencoders", section 2): ELBO
of the best Gaussian for each image less that of the encoder's.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from hypermol.engine import generator
from hypermol.objectives import negative_log_likelihood, widening
from hypermol.posteriors import Hypotheses, standard_normal_divergence

ELBO_SAMPLES = 8
START_DEVIATION = 0.3
"""Of a posterior that is refined from a point."""


@dataclasses.dataclass(frozen=True)
class Posterior:
    """mean [B, d] of z and, where there is more than a point, variance [B, d] of its components."""

    mean: Tensor
    variance: Tensor | None = None

    def widened(self) -> Posterior:
        """With a variance where there was none, so that there is a bound to refine."""
        if self.variance is not None:
            return self
        return Posterior(self.mean, torch.full_like(self.mean, START_DEVIATION**2))

    @property
    def divergence(self) -> Tensor:
        """From N(0, 1), nats, [B]; for a point ½|z|² (minus the log of the prior up to a constant)."""
        if self.variance is None:
            return 0.5 * self.mean.square().sum(-1)
        return standard_normal_divergence(self.mean, self.variance.clamp(min=1e-12).log())


def log_likelihoods(model: Any, batch: Any, z: Tensor) -> Tensor:
    """log p(images | z) up to a constant shared by all z, [B, H], for z [B, H, d]; poses and noise as the model has
    them."""
    pose = model.pose(batch, None, {})
    count = z.shape[1]
    whole = Hypotheses(rotation=pose.rotation.expand(-1, count, -1, -1), shift=pose.shift.expand(-1, count, -1), z=z)
    compared = model.compared(batch)
    return -negative_log_likelihood(model.volume, whole, compared) - widening(batch, compared)


@torch.no_grad()
def evidence_bound(model: Any, batch: Any, posterior: Posterior, samples: int) -> dict[str, Tensor]:
    """``elbo`` and ``at_mean`` [B] in nats; the same standard draws for every call, so that differences are paired."""
    at_mean = log_likelihoods(model, batch, posterior.mean[:, None])[:, 0]
    if posterior.variance is None:
        return {"elbo": at_mean - posterior.divergence, "at_mean": at_mean}
    total = torch.zeros_like(at_mean)
    for noise in _draws(posterior.mean, samples):
        z = posterior.mean + posterior.variance.sqrt() * noise
        total += log_likelihoods(model, batch, z[:, None])[:, 0]
    return {"elbo": total / samples - posterior.divergence, "at_mean": at_mean}


def refine(model: Any, batch: Any, start: Posterior | None, steps: int, learning_rate: float = 0.05) -> Posterior:
    """Adam on each particle's own mean (and log variance) from ``start``; without one, a point from z = 0.

    The objective is the bound itself (β = 1), with one draw and its mirror image per step.
    """
    first = torch.zeros(batch.size, model.volume.z_dim, device=batch.images.device) if start is None else start.mean
    mean = first.detach().clone().requires_grad_()
    moving = [mean]
    if start is not None and start.variance is not None:
        moving.append(start.variance.detach().clamp(min=1e-6).log().requires_grad_())
    optimiser = torch.optim.Adam(moving, lr=learning_rate)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = learning_rate * (1 - step / steps)
        with torch.enable_grad():
            loss = -_stochastic_bound(model, batch, mean, moving[1] if len(moving) > 1 else None, step).sum()
            optimiser.zero_grad()
            loss.backward()
        optimiser.step()
    return Posterior(mean.detach(), moving[1].detach().exp() if len(moving) > 1 else None)


def _stochastic_bound(model: Any, batch: Any, mean: Tensor, log_variance: Tensor | None, step: int) -> Tensor:
    if log_variance is None:
        return log_likelihoods(model, batch, mean[:, None])[:, 0] - 0.5 * mean.square().sum(-1)
    noise = torch.randn(mean.shape, generator=generator(0, "refine", step)).to(mean) * (0.5 * log_variance).exp()
    both = torch.stack([mean + noise, mean - noise], 1)
    return log_likelihoods(model, batch, both).mean(1) - standard_normal_divergence(mean, log_variance)


def _draws(like: Tensor, samples: int) -> list[Tensor]:
    """Standard normal [samples][B, d], in mirrored pairs."""
    half = torch.randn((samples + 1) // 2, *like.shape, generator=generator(0, "elbo")).to(like)
    return list(torch.cat([half, -half])[:samples])
