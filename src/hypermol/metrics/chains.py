"""Whether Markov chains have mixed: potential scale reduction and effective sample size."""

from __future__ import annotations

import torch
from torch import Tensor

from hypermol.shapes import Float


def split_rhat(samples: Float[Tensor, "*b c s"]) -> Float[Tensor, "*b"]:
    """Potential scale reduction R̂ of C chains of S samples, each cut into halves (Gelman et al. 2013, eq. 11.4): 1
    where the chains are alike, NaN where nothing varies or S < 4."""
    half = samples.shape[-1] // 2
    if half < 2:
        return samples.new_full(samples.shape[:-2], torch.nan)
    parts = torch.cat([samples[..., :half], samples[..., -half:]], -2)
    within = parts.var(-1).mean(-1)
    between = parts.mean(-1).var(-1)
    return (((half - 1) / half * within + between) / within).sqrt()


def effective_sample_size(samples: Float[Tensor, "*b c s"]) -> Float[Tensor, "*b"]:
    """How many independent draws C chains of S samples are worth: C S / (1 + 2 Σ ρ_t), the sum ended where pairs of
    autocorrelations turn negative and kept falling (Geyer 1992; Vehtari et al. 2021, eq. 10-13); NaN where nothing
    varies or S < 4."""
    chains, length = samples.shape[-2:]
    if length < 4:
        return samples.new_full(samples.shape[:-2], torch.nan)
    centred = samples - samples.mean(-1, keepdim=True)
    spectrum = torch.fft.rfft(centred, 2 * length).abs().square()
    covariance = torch.fft.irfft(spectrum, 2 * length)[..., :length] / length
    within = covariance[..., 0].mean(-1) * length / (length - 1)
    total = within * (length - 1) / length
    if chains > 1:
        total = total + samples.mean(-1).var(-1)
    correlation = 1 - (within[..., None] - covariance.mean(-2) * length / (length - 1)) / total[..., None]
    correlation[..., 0] = 1
    pairs = correlation[..., : length // 2 * 2].unflatten(-1, (-1, 2)).sum(-1)
    alive = (pairs > 0).int().cumprod(-1)
    falling = (pairs.cummin(-1).values * alive).sum(-1)
    time = (2 * falling - 1).clamp(min=1 / torch.log10(torch.tensor(10.0 + chains * length)))
    return chains * length / time * torch.where(total > 0, 1.0, torch.nan)
