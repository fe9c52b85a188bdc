"""The Gaussian likelihood of packed Fourier images (DESIGN §2)."""

from torch import Tensor

from hypermol.shapes import Complex, Float


def gaussian_nll(
    residual: Complex[Tensor, "*batch p"],
    variance: Float[Tensor, "*variance p"],
    weight: Float[Tensor, " p"],
) -> Float[Tensor, "*batch"]:
    """-log p up to a constant: Σ weight · |r|²/σ² over packed points, one number per image.

    Each packed point stands for ±k, whose noise is one complex number of variance σ²; self-conjugate points
    (real, ``weight`` ½) count half. ``variance`` broadcasts against ``residual``.
    """
    power = residual.real.square() + residual.imag.square()
    return (power / variance * weight).sum(-1)
