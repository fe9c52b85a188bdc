"""Functions of the conformation z, orthonormal under the prior of z: even over a segment (or a cube), or a circle."""

from __future__ import annotations

import dataclasses
import itertools
import math
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from hypermol.errors import ConfigError
from hypermol.shapes import Float

Domain = Literal["segment", "circle"]


@dataclasses.dataclass(frozen=True)
class ConformationBasis:
    """``segment``: products of Legendre polynomials on [-1, 1]^d up to a total degree. ``circle``: cosines and sines on
    the unit circle; z is the point (cos θ, sin θ), or any vector along it. The first function is 1."""

    domain: Domain
    z_dim: int
    degree: int

    def __post_init__(self) -> None:
        """Raises ConfigError for a circle whose z has not two numbers."""
        if self.domain == "circle" and self.z_dim != 2:
            raise ConfigError(
                f"a circle has two coordinates, (cos θ, sin θ): expected z_dim = 2, found {self.z_dim}; or "
                "volume.domain = segment"
            )

    @cached_property
    def powers(self) -> tuple[tuple[int, ...], ...]:
        """The degrees of each function: one per dimension of a segment; ±q of a circle (minus: sine)."""
        if self.domain == "circle":
            return ((0,), *((sign * q,) for q in range(1, self.degree + 1) for sign in (1, -1)))
        every = itertools.product(range(self.degree + 1), repeat=self.z_dim)
        return tuple(sorted((p for p in every if sum(p) <= self.degree), key=lambda p: (sum(p), p[::-1])))

    @property
    def size(self) -> int:
        """Q, the number of functions."""
        return len(self.powers)

    def values(self, z: Float[Tensor, "*b d"]) -> Float[Tensor, "*b q"]:
        """The functions at z."""
        if self.domain == "circle":
            return self._circle(z)
        ladder = _legendre(z, self.degree)
        columns = [torch.ones_like(z[..., :0].sum(-1))] if self.z_dim == 0 else []
        for powers in self.powers if self.z_dim else ():
            factors = [ladder[power][..., place] for place, power in enumerate(powers)]
            columns.append(math.prod(factors[1:], start=factors[0]))
        return torch.stack(columns, -1)

    def _circle(self, z: Tensor) -> Tensor:
        x, y = torch.nn.functional.normalize(z, dim=-1).unbind(-1)
        columns, cosine, sine = [torch.ones_like(x)], torch.ones_like(x), torch.zeros_like(x)
        for _ in range(self.degree):
            cosine, sine = cosine * x - sine * y, cosine * y + sine * x
            columns += [math.sqrt(2) * cosine, math.sqrt(2) * sine]
        return torch.stack(columns, -1)


def _legendre(z: Tensor, degree: int) -> list[Tensor]:
    """√(2n + 1) P_n(z), n = 0 … ``degree``: orthonormal under the uniform density on [-1, 1]."""
    plain = [torch.ones_like(z), z]
    for n in range(1, degree):
        plain.append(((2 * n + 1) * z * plain[n] - n * plain[n - 1]) / (n + 1))
    return [math.sqrt(2 * n + 1) * value for n, value in enumerate(plain[: degree + 1])]
