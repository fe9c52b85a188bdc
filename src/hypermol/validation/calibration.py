"""Is z's posterior as wide as it should be? Images are made from the model itself, so that their z is known.

Simulation-based calibration (Talts et al. 2018, arXiv:1804.06788) with the model's own particles for a prior: a known
z (drawn from the posteriors of other particles), the forward model, fresh noise, the encoder; then where the known z
falls in the posterior found.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.engine import generator
from hypermol.objectives import predicted_images
from hypermol.posteriors import Hypotheses
from hypermol.validation.inference import Frozen, batches

PARTICLES = 500
ONE_SIGMA = 0.6827


@torch.no_grad()
def standardised_errors(model: Frozen, source: Any) -> tuple[np.ndarray, np.ndarray]:
    """(known z - posterior mean) / posterior deviation, [n, d], and the posterior variance over that of the known z,
    [d]; about n = ``PARTICLES``. Poses and CTF are those of the source's particles."""
    estimates = model.run.estimates()
    mean = torch.from_numpy(estimates["z"]).float()
    spread = torch.from_numpy(np.diagonal(estimates["z_covariance"], axis1=-2, axis2=-1).copy()).float().sqrt()
    errors, known, variances, draw = [], [], [], generator(0, "calibration")
    for batch in batches(source, PARTICLES):
        chosen = torch.randint(len(mean), (batch.size,), generator=draw)
        z = mean[chosen] + spread[chosen] * torch.randn(batch.size, mean.shape[1], generator=draw)
        z = z.to(batch.images.device)
        posterior = model.posterior(dataclasses.replace(batch, images=_images(model.model, batch, z, draw)))
        variance = posterior.variance if posterior.variance is not None else torch.full_like(z, torch.nan)
        errors.append(((z - posterior.mean) / variance.sqrt()).cpu())
        known.append(z.cpu())
        variances.append(variance.cpu())
    prior = torch.cat(known).var(0).clamp(min=1e-30)
    return torch.cat(errors).numpy(), (torch.cat(variances).mean(0) / prior).numpy()


def calibration(errors: np.ndarray, remaining: np.ndarray) -> dict[str, Any]:
    """width: by how much the stated deviations must be multiplied to be right (1: calibrated; 3: three times too
    narrow), the root mean square of standardised errors; within_one_sigma: share of errors below one deviation (0.683
    is right); both over the components of z that images say something about (``remaining`` below 0.9), ``used``
    of them.
    """
    used = remaining < 0.9
    if not used.any():
        return {"used": 0, "width": None, "within_one_sigma": None}
    kept = errors[:, used]
    return {
        "used": int(used.sum()),
        "width": float(np.sqrt((kept**2).mean())),
        "within_one_sigma": float((np.abs(kept) < 1).mean()),
    }


def _images(model: Any, batch: Any, z: Tensor, draw: torch.Generator) -> Tensor:
    pose = model.pose(batch, None, {})
    clean = predicted_images(model.volume, pose.combined(Hypotheses(z=z[:, None])), batch)[:, 0]
    unit = torch.randn(*clean.shape, 2, generator=draw).to(clean.device)
    real = (batch.lattice.weight < 0.75)[:, None]
    scale = torch.where(real, unit.new_tensor([1.0, 0.0]), unit.new_tensor([0.5**0.5, 0.5**0.5]))
    noise = torch.view_as_complex((unit * scale).contiguous()) * model.compared(batch).variance.sqrt()
    return (clean + noise) * batch.valid[..., None]
