"""A bank of Gaussian low-pass filters in front of an encoder (Levy et al. 2022, cryoAI)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from hypermol.shapes import Complex, Float


class GaussianFilters(nn.Module):
    """The image itself and ``count`` blurred copies of it: Gaussians of variance 1, 2, 4, … px², in Fourier space.

    Noise has all frequencies and molecules few, so that a blurred copy shows a molecule where the image shows noise.
    Each copy is scaled to a root mean square of 1 over a data set. ``spectrum`` [S]: mean |X|² per shell of the images,
    noise being 1. The scale is kept with the parameters.
    """

    scale: Tensor

    def __init__(self, count: int, box: int, spectrum: Float[Tensor, " s"]) -> None:
        super().__init__()
        self.count = count
        shell = torch.arange(len(spectrum), dtype=torch.float32)
        power = self.responses(shell / box).square() * spectrum * (2 * shell).clamp(min=1 / math.pi)  # 2πs of a shell
        self.register_buffer("scale", box**2 / (math.pi * power.sum(-1)).clamp(min=1e-12).sqrt())

    def responses(self, radius: Float[Tensor, " p"]) -> Float[Tensor, "c p"]:
        """What each filter does at |k| (cycles/pixel)."""
        variance = torch.tensor([0.0, *(2.0**i for i in range(self.count))], device=radius.device)
        return torch.exp(-2 * math.pi**2 * variance[:, None] * radius.square())

    def forward(self, images: Complex[Tensor, "*b p"], k: Float[Tensor, "p 2"]) -> Complex[Tensor, "*b c p"]:
        """Filtered transforms of images whose noise has variance 1 per pixel of the transform."""
        return images.unsqueeze(-2) * (self.responses(k.norm(dim=-1)) * self.scale[:, None])
