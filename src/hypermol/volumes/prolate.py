"""Radial functions that are band-limited and as concentrated in space as such functions can be.

The generalised prolate spheroidal functions (Slepian 1964, Bell Syst. Tech. J. 43:3009; Lederman 2017,
arXiv:1710.02874) of the three-dimensional ball are the eigenfunctions of F[ψ](x) = ∫_ball exp(i c x·y) ψ(y) dy. Each is
a radial function Φ_{l,n}(r) times a spherical harmonic of degree l. They are orthonormal in the ball of frequencies,
and of all such functions their transforms hold the most energy in the ball of radius c / 2π (in units of 1 / the
largest frequency), the first of each l the most of all.
"""

from __future__ import annotations

import dataclasses
import math
from functools import cache

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.special import eval_jacobi, spherical_jn

from hypermol.errors import ConfigError
from hypermol.shapes import Float

_NODES = 256
_LARGEST = 200.0


@dataclasses.dataclass(frozen=True, eq=False)
class RadialFunctions:
    """The functions of one degree l. ``mixing`` [n, j]: their parts in the Zernike polynomials; ``concentration`` [n]:
    the share of energy that each has inside the ball of space, falling with n."""

    degree: int
    mixing: Float[np.ndarray, "n j"]
    concentration: Float[np.ndarray, " n"]

    def over_power(self, radius: Float[np.ndarray, " r"]) -> Float[np.ndarray, "n r"]:
        """Φ_{l,n}(r) / r^l at radii from 0 to 1: a polynomial in r², so that r^l Y_lm, a polynomial in k, can be
        multiplied by it. ∫₀¹ Φ² r² dr = 1."""
        return self.mixing @ _zernike_over_power(self.degree, self.mixing.shape[1], radius)


@cache
def radial_functions(bandwidth: float, least: float) -> tuple[RadialFunctions, ...]:
    """For l = 0, 1, … the functions of which a share of at least ``least`` lies in the ball, until there are none.

    ``bandwidth``: c, 2π × the radius in space × the largest frequency. Raises ConfigError where c is beyond use.
    """
    if not 0 < bandwidth <= _LARGEST:
        raise ConfigError(f"harmonic basis: expected a bandwidth 2π × radius × frequency up to {_LARGEST:g}, "
                          f"found {bandwidth:g}; lower the radius or the number of shells")  # fmt: skip
    found: list[RadialFunctions] = []
    while True:
        one = _of_degree(len(found), bandwidth)
        kept = int((one.concentration >= least).sum())
        if kept == 0:
            break
        found.append(RadialFunctions(one.degree, one.mixing[:kept], one.concentration[:kept]))
    if not found:
        raise ConfigError(
            f"harmonic basis: no function of bandwidth {bandwidth:.3g} has {least:g} of its energy inside the radius; "
            "raise the radius or the number of shells, or lower the concentration"
        )
    return tuple(found)


def _of_degree(degree: int, bandwidth: float) -> RadialFunctions:
    """Eigenvectors of the differential operator that commutes with F, tridiagonal in Zernike polynomials (Slepian 1964,
    eq. 24; Lederman 2017, theorem 9): smallest eigenvalue first is most concentrated first."""
    size = int(bandwidth + 30)
    order = np.arange(size)
    alpha = degree + 0.5
    diagonal = (2 * order + alpha + 0.5) * (2 * order + alpha + 1.5)
    square_diagonal, square_beside = _squared_radius(alpha, size)
    _, vectors = eigh_tridiagonal(
        diagonal + bandwidth**2 * square_diagonal,
        bandwidth**2 * square_beside,
        select="i",
        select_range=(0, min(size, int(bandwidth / 2) + 12) - 1),
    )
    mixing = vectors.T * np.sign(vectors[np.abs(vectors).argmax(0), np.arange(vectors.shape[1])])[:, None]
    return RadialFunctions(degree, mixing, _concentration(degree, mixing, bandwidth))


def _squared_radius(alpha: float, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Multiplication by r² among orthonormal Zernike polynomials: (1 - the Jacobi matrix of (α, 0)) / 2."""
    n = np.arange(size)
    inner = 2 * n + alpha
    diagonal = -(alpha**2) / (inner * (inner + 2))
    later = n[1:]
    inner = 2 * later + alpha
    beside = 2 * later * (later + alpha) / (inner * np.sqrt((inner - 1) * (inner + 1)))
    return (1 - diagonal) / 2, -beside / 2


def _zernike_over_power(degree: int, size: int, radius: np.ndarray) -> np.ndarray:
    """Orthonormal Zernike polynomials over r^l: √(2 (2j + l + 3/2)) P_j^(l + 1/2, 0)(1 - 2r²), [j, r]."""
    order = np.arange(size)[:, None]
    return np.sqrt(2 * (2 * order + degree + 1.5)) * eval_jacobi(order, degree + 0.5, 0.0, 1 - 2 * radius**2)


def _concentration(degree: int, mixing: np.ndarray, bandwidth: float) -> np.ndarray:
    """|c/2π|³ |λ|², λ the eigenvalue of F: 4π times that of the spherical Bessel transform of degree l, by
    Gauss-Legendre quadrature. What is below the precision of that is none."""
    radius, weight = np.polynomial.legendre.leggauss(_NODES + int(bandwidth))
    radius, weight = (radius + 1) / 2, weight / 2
    values = mixing @ _zernike_over_power(degree, mixing.shape[1], radius) * radius**degree
    measured = values * (weight * radius**2)
    kernel = spherical_jn(degree, bandwidth * radius[:, None] * radius)
    eigenvalue = 4 * math.pi * np.einsum("nr,rs,ns->n", measured, kernel, measured)
    return (bandwidth / (2 * math.pi)) ** 3 * eigenvalue**2
