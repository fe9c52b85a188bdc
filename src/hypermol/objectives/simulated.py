"""Images made up inside a method: Algorithm 1 of Gupta et al. 2020 (Multi-CryoGAN) on the common forward model."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from hypermol.objectives.predict import predicted_images
from hypermol.particles import Batch
from hypermol.posteriors import Hypotheses
from hypermol.shapes import Complex
from hypermol.volumes import Volume


def simulated_images(
    volume: Volume, hypotheses: Hypotheses, batch: Batch, draws: Any, contrast_spread: float = 0.0
) -> Complex[Tensor, "b j p"]:
    """a C exp(-2πi k·t) V(Rᵀ(k, 0), z) + noise of drawn poses and z (H = 1), packed; differentiable to the volume.

    CTF and spectrum of the noise are those of the batch's own images, so that they are distributed as the data's are
    whatever that is, and the real image beside each made one has the same: only the molecule can tell them apart. The
    noise has no gain of its own: it and the gain of the map would explain the same power twice. ``contrast_spread``:
    deviation of a, normal about 1. ``draws``: keyed random draws of this batch.
    """
    clean = predicted_images(volume, hypotheses, batch)[:, 0]
    if contrast_spread:
        clean = clean * (1 + contrast_spread * draws.normal("contrast", clean.shape[1], 1)).to(clean.real.dtype)
    return clean + batch.variance.sqrt() * noise(batch, draws)


def noise(batch: Batch, draws: Any) -> Complex[Tensor, "b j p"]:
    """White noise of E|N|² = 1 at every packed point; real where a point is its own conjugate."""
    images, points = batch.images.shape[1:]
    parts = draws.normal("noise", images, points, 2)
    own = batch.lattice.weight < 1
    real = torch.where(own, parts[..., 0], parts[..., 0] / math.sqrt(2))
    imaginary = torch.where(own, torch.zeros_like(real), parts[..., 1] / math.sqrt(2))
    return torch.complex(real, imaginary)
