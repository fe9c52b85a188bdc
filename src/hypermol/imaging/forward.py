"""The image formation model: X(k) = a C(k) exp(-2πi k·t) V(Rᵀ(k, 0)) + noise (DESIGN §1)."""

import torch
from torch import Tensor

from hypermol.shapes import Complex, Float


def slice_coordinates(k: Float[Tensor, "p 2"], rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch p 3"]:
    """Rᵀ(kx, ky, 0), cycles/pixel: where the image's points lie in the transform of the volume."""
    return k.to(rotation.dtype) @ rotation[..., :2, :]


def apply_optics(
    slices: Complex[Tensor, "*slices p"],
    ctf: Float[Tensor, "*ctf p"],
    phase: Complex[Tensor, "*phase p"] | None = None,
    contrast: Float[Tensor, "*contrast"] | None = None,
) -> Complex[Tensor, "*images p"]:
    """Noise-free images a · C(k) · exp(-2πi k·t) · slice; batch shapes broadcast.

    ``phase``: from ``shift_phase``; None where there is no shift. ``contrast``: a, one number per image.
    """
    images = slices * ctf
    if phase is not None:
        images = images * phase
    return images if contrast is None else images * torch.unsqueeze(contrast, -1)
