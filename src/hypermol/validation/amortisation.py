"""What the encoder's haste costs: the ELBO gained when each image's posterior is refined by itself."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hypermol.methods.z_refinement import evidence_bound, refine
from hypermol.validation.inference import Frozen, batches

PARTICLES = 200
STEPS = 100
SAMPLES = 32


def amortisation_gap(model: Frozen, source: Any) -> dict[str, Any]:
    """Refine the posteriors of ``PARTICLES`` unseen particles. gap: nats per particle gained (0: the encoder is as
    good as a search of its own for each image), its standard error, and moved: how far the means went, in standard
    deviations of z over particles."""
    gains: list[Tensor] = []
    moves: list[Tensor] = []
    spread = torch.from_numpy(model.run.estimates()["z"].std(0)).clamp(min=1e-12)
    for batch in batches(source, PARTICLES):
        start = model.posterior(batch)
        better = refine(model.model, batch, start, STEPS)
        bounds = [evidence_bound(model.model, batch, posterior, SAMPLES)["elbo"] for posterior in (start, better)]
        gains.append((bounds[1] - bounds[0]).double().cpu())
        moves.append(((better.mean - start.mean).cpu() / spread).square().mean(1).sqrt())
    gain, moved = torch.cat(gains), torch.cat(moves)
    error = float(gain.std() / len(gain) ** 0.5)
    return {"particles": len(gain), "gap": float(gain.mean()), "error": error, "moved": float(moved.median())}
