"""Real spherical harmonics as polynomials, and how their coefficients change when a function is turned."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from hypermol.imaging import matrix_to_euler, rotvec_to_matrix
from hypermol.shapes import Float

_NEAR_POLE = 0.9


def solid_harmonics(vectors: Float[Tensor, "*b 3"], degree: int) -> Float[Tensor, "*b h"]:
    """|v|^l Y_lm(v/|v|) for l = 0 … ``degree``, m = -l … l, at index l² + l + m: [(degree + 1)²] of each vector.

    Y_lm is real and orthonormal on the sphere; m > 0 goes with cos mφ, m < 0 with sin |m|φ; no Condon-Shortley phase.
    Polynomials of x, y, z: smooth everywhere, and odd degrees change their sign with v to the last bit.
    """
    x, y, z = (part[..., None] for part in vectors.unbind(-1))
    square = x * x + y * y + z * z
    order = torch.arange(degree + 1, dtype=vectors.dtype, device=vectors.device)
    cosine, sine = _powers(x, y, degree)
    below: Tensor | None = None
    here = torch.full_like(x, math.sqrt(1 / (4 * math.pi)))
    rows = [here]
    for ell in range(1, degree + 1):
        m = order[:ell]
        rising = z * here * torch.sqrt((4 * ell * ell - 1) / (ell * ell - m * m))
        if below is not None:
            n = order[: ell - 1]
            fall = torch.sqrt((2 * ell + 1) * ((ell - 1) ** 2 - n * n) / ((2 * ell - 3) * (ell * ell - n * n)))
            rising = torch.cat([rising[..., :-1] - fall * square * below, rising[..., -1:]], -1)
        last = here[..., -1:] * math.sqrt((2 * ell + 1) / (2 * ell))
        below, here = here, torch.cat([rising, last], -1)
        sines, cosines = here[..., 1:] * sine[..., 1 : ell + 1], here[..., 1:] * cosine[..., 1 : ell + 1]
        rows.append(torch.cat([math.sqrt(2) * sines.flip(-1), here[..., :1], math.sqrt(2) * cosines], -1))
    return torch.cat(rows, -1)


def _powers(x: Tensor, y: Tensor, degree: int) -> tuple[Tensor, Tensor]:
    """Re and Im of (x + iy)^m, m = 0 … ``degree``."""
    real, imaginary = [torch.ones_like(x)], [torch.zeros_like(x)]
    for _ in range(degree):
        a, b = real[-1], imaginary[-1]
        real.append(a * x - b * y)
        imaginary.append(a * y + b * x)
    return torch.cat(real, -1), torch.cat(imaginary, -1)


def turned_about_z(
    coefficients: Float[Tensor, "*b r m"], cosine: Float[Tensor, "*b m"], sine: Float[Tensor, "*b m"]
) -> Float[Tensor, "*b r m"]:
    """Coefficients, m = -l … l, of a function turned by an angle about z, from cos and sin of m × the angle."""
    return coefficients * cosine[..., None, :] - coefficients.flip(-1) * sine[..., None, :]


@cache
def quarter_turn(degree: int) -> Float[Tensor, "m m"]:
    """How harmonics of one degree change when the function is turned by -90° about x, which takes z to y (float64):
    Y(Rᵀv) = Y(v) M, exact because the harmonics of a degree are closed under rotation."""
    generator = torch.Generator().manual_seed(degree)
    points = torch.nn.functional.normalize(torch.randn(4 * degree + 8, 3, generator=generator, dtype=torch.float64))
    turn = rotvec_to_matrix(torch.tensor([-math.pi / 2, 0, 0], dtype=torch.float64))
    inside = slice(degree**2, (degree + 1) ** 2)
    still, turned = (solid_harmonics(at, degree)[:, inside] for at in (points, points @ turn))
    return torch.linalg.lstsq(still, turned).solution


def euler_angles(rotation: Float[Tensor, "*b 3 3"]) -> tuple[Float[Tensor, "*b 3"], Tensor | None]:
    """Angles (rot, tilt, psi; radians). Where derivatives are wanted they are tame: near the poles of R the angles are
    those of R Qᵀ, Q being +90° about x, and the second result says where (None: nowhere)."""
    if not rotation.requires_grad:
        return torch.deg2rad(matrix_to_euler(rotation)), None
    near = rotation[..., 2, 2].abs() > _NEAR_POLE
    quarter = rotation.new_tensor([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    chosen = torch.where(near[..., None, None], rotation @ quarter.mT, rotation)
    return torch.deg2rad(matrix_to_euler(chosen)), near
