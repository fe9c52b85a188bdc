"""What the draws of ``hyper-molecule`` say: means, covariances, maps with their uncertainty, whether chains mixed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.engine import State
from hypermol.imaging import matrix_to_rotvec, rotvec_to_matrix
from hypermol.methods.method import Results
from hypermol.metrics import effective_sample_size, split_rhat
from hypermol.specs import BuildContext

MIXED = 1.1
FEWEST = 10  # draws of a chain
MAPS = 40
"""Draws of the volume from which the deviation of the map is taken."""


def results(settings: Any, state: State, context: BuildContext) -> Results:
    """See ``HyperMolecule.results``."""
    samples, reference = state.table["samples"].cpu(), state.table["reference"].cpu()
    shifts = state.table["chain_shift"].shape[-1]
    turn, shift, z, likely = samples.split([3, shifts, settings.volume.z_dim, 1], -1)
    rotation, spread = _mean_rotation(turn.flatten(1, 2), reference)
    estimates: dict[str, Tensor] = {
        "rotation": rotation,
        "rotation_covariance": spread,
        "shift": shift.mean((1, 2)),
        "shift_covariance": _covariance(shift),
        "log_likelihood": likely.mean((1, 2))[:, 0],
    }
    if settings.volume.z_dim:
        estimates |= {"z": z.mean((1, 2)), "z_covariance": _covariance(z)}
    followed = torch.cat([turn, shift, z], -1).movedim(-1, 1)
    rhat, size = split_rhat(followed), effective_sample_size(followed)
    estimates["rhat"] = torch.where(rhat.isnan(), math.inf, rhat).amax(1)  # a chain that never moved has not converged
    estimates["effective_samples"] = torch.where(size.isnan(), 0.0, size).amin(1)
    arrays = {name: value.numpy().astype(np.float32) for name, value in estimates.items()}
    metrics, notes = _figures(settings, state, rhat, size, shifts)
    return Results(arrays, _maps(settings, state, context), metrics, {}, (*state.data.get("notes", ()), *notes))


def decoder(settings: Any, state: State, context: BuildContext) -> Callable[[Tensor | None], Tensor]:
    """See ``HyperMolecule.decoder``."""
    coefficients = state.tensors["draws"].mean((0, 1))

    def decode(z: Tensor | None = None) -> Tensor:
        if z is not None and settings.volume.z_dim:
            return _decoded(settings.volume, context, coefficients, z.to(coefficients.device))
        map_ = _decoded(_rigid(settings), context, _mean_functions(settings, state) @ coefficients, None)
        return map_ if z is None else map_.expand(len(z), -1, -1, -1)

    return decode


def _maps(settings: Any, state: State, context: BuildContext) -> dict[str, Tensor]:
    """consensus: the posterior mean of the mean over particles; deviation: its posterior standard deviation."""
    every, functions = state.tensors["draws"].flatten(0, 1), _mean_functions(settings, state)
    chosen = every[:: max(1, len(every) // MAPS)]
    found = torch.cat([_decoded(_rigid(settings), context, functions @ one, None) for one in chosen])
    mean = decoder(settings, state, context)(None)[0]
    return {"consensus": mean.cpu(), "deviation": (found - mean).square().mean(0).sqrt().cpu()}


def _rigid(settings: Any) -> Any:
    return dataclasses.replace(settings.volume, z_dim=0, domain="segment")


def _decoded(spec: Any, context: BuildContext, coefficients: Tensor, z: Tensor | None) -> Tensor:
    volume = spec.build(context).to(coefficients.device)
    volume.coefficients.data = coefficients.reshape(volume.coefficients.shape).to(volume.coefficients)
    found: Tensor = volume.maps(z)
    return found


def _mean_functions(settings: Any, state: State) -> Tensor:
    """The functions of z, averaged over all particles and draws, [Q]."""
    z = state.table["samples"][..., -1 - settings.volume.z_dim : -1]
    return settings.volume.conformations().values(z).mean((0, 1, 2)).to(state.tensors["draws"])


def _mean_rotation(turn: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of rotations [N, S] told as turns from a reference (nearest to all in the Frobenius norm), and the
    covariance of turns from it, degrees²."""
    every = rotvec_to_matrix(turn)
    left, _, right = torch.linalg.svd(every.mean(1))
    sign = torch.ones_like(left[..., 0])
    sign[..., 2] = torch.linalg.det(left) * torch.linalg.det(right)
    mean = left @ torch.diag_embed(sign) @ right
    around = torch.rad2deg(matrix_to_rotvec(every @ mean[:, None].mT))
    return mean @ reference, torch.einsum("nsa,nsb->nab", around, around) / around.shape[1]


def _covariance(samples: Tensor) -> Tensor:
    """Of [N, C, S, d]."""
    centred = (samples - samples.mean((1, 2), keepdim=True)).flatten(1, 2)
    return torch.einsum("nsa,nsb->nab", centred, centred) / centred.shape[1]


def _figures(
    settings: Any, state: State, rhat: Tensor, size: Tensor, shifts: int
) -> tuple[dict[str, dict[str, Any]], tuple[str, ...]]:
    """Metrics and what to say; rhat, size [N, 3 + s + d]."""
    draws, metrics = settings.samples * settings.sampler.chains, {}
    groups = {"rotation": slice(0, 3), "shift": slice(3, 3 + shifts), "z": slice(3 + shifts, None)}
    share = state.table["accepted"].mean((0, 1)).cpu() / settings.samples
    worst = 1.0
    for place, (name, inside) in enumerate(groups.items()):
        if not rhat[:, inside].numel():
            continue
        high = float(rhat[:, inside].nanquantile(0.95))
        how = "share of local moves accepted while sampling"
        metrics[f"accepted_{name}"] = {"value": float(share[place]), "unit": "", "how": how}
        if math.isnan(high):
            continue
        worst = max(worst, high)
        how = f"split R̂ of {settings.sampler.chains} chains of {settings.samples} draws, 95th percentile over particles"
        metrics[f"rhat_{name}"] = {"value": high, "unit": "", "how": how + "; they began together after `find`"}
        how = f"Geyer's initial sequence, median over particles, of {draws} draws"
        metrics[f"effective_samples_{name}"] = {"value": float(size[:, inside].nanmedian()), "unit": "", "how": how}
    if settings.together:
        led = state.tensors["led"].cpu()
        value = float(led.mean(0).min()) * led.shape[1] / (settings.samples * settings.together)
        how = "share of the moves of all particles together that led elsewhere, of the kind that did so least"
        metrics["moved_together"] = {"value": min(1.0, value), "unit": "", "how": how}
    words = f"chains agree (R̂ of 95 % of the particles below {worst:.2f})"
    if settings.samples < FEWEST:
        words = f"too few draws to say whether chains have mixed: raise samples to {FEWEST} or more"
    elif worst > MIXED:
        words = f"chains have not mixed (R̂ {worst:.2f} at the 95th percentile, wanted {MIXED}): raise samples"
    return metrics, (words,)
