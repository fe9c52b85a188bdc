"""Held-out likelihood: does a half's model explain images that it has never seen better than one map does?"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.maps import read_map
from hypermol.methods.unseen import LinearVolume
from hypermol.methods.z_refinement import ELBO_SAMPLES, Posterior, evidence_bound, log_likelihoods, refine
from hypermol.validation.inference import Frozen, batches

PARTICLES = 500
STEPS = 60


class _OneMap:
    """A model with the poses and the noise of another, and one map."""

    def __init__(self, model: Any, volume: LinearVolume) -> None:
        self.pose, self.compared, self.volume = model.pose, model.compared, volume


@torch.no_grad()
def held_out(model: Frozen, source: Any) -> dict[str, np.ndarray]:
    """Nats per particle of at most ``PARTICLES`` of a source that the model has not seen: elbo (a lower bound of
    log p(images)), still (log p at the mean z of its own particles: the same model, no motion) and consensus (log p
    under the consensus map of its own particles; absent where the run has none)."""
    centre = torch.from_numpy(model.run.estimates()["z"].mean(0)).float()
    path = model.run.volumes / "consensus.mrc"
    one_map = _OneMap(model.model, LinearVolume(read_map(path)[0][None])) if path.exists() else None
    found: dict[str, list[Tensor]] = {}
    for batch in batches(source, PARTICLES):
        still = centre.to(batch.images.device).expand(batch.size, 1, -1)
        rows = {
            "elbo": evidence_bound(model.model, batch, _posterior(model, batch), ELBO_SAMPLES)["elbo"],
            "still": log_likelihoods(model.model, batch, still)[:, 0],
        }
        if one_map is not None:
            rows["consensus"] = log_likelihoods(one_map, batch, still)[:, 0]
        for name, values in rows.items():
            found.setdefault(name, []).append(values.cpu())
    return {name: torch.cat(values).numpy() for name, values in found.items()}


def _posterior(model: Frozen, batch: Any) -> Posterior:
    """That of the encoder; of a table, whose z is a point, a Gaussian refined from there: a point has no bound."""
    found = model.posterior(batch)
    return found if model.has_encoder else refine(model.model, batch, found.widened(), STEPS)


def gains(rows: list[dict[str, np.ndarray]]) -> dict[str, Any]:
    """Mean gain in nats per particle over each rival, its standard error, and the share of particles that gain."""
    summary: dict[str, Any] = {"particles": sum(len(r["elbo"]) for r in rows)}
    for rival in ("still", "consensus"):
        if all(rival in r for r in rows):
            gain = np.concatenate([r["elbo"] - r[rival] for r in rows]).astype(np.float64)
            error = gain.std(ddof=1) / len(gain) ** 0.5
            summary[rival] = {"gain": float(gain.mean()), "error": float(error), "share": float((gain > 0).mean())}
    return summary
