"""The density of viewing directions: quadrature on the sphere, and the density that moments ask for."""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor

from hypermol.imaging import euler_to_matrix
from hypermol.imaging.so3_grid import directions
from hypermol.shapes import Float
from hypermol.volumes.harmonics import solid_harmonics

NODES_ORDER = 2  # 192 directions
STIFFNESS = 10.0
ACTIVE_TURNS = 8


class ViewingSphere:
    """Half of an equal-area grid of viewing directions. From the opposite side an image is its own mirror image, so
    that every product of features whose orders add up to none is the complex conjugate: even harmonics of the density
    weigh the real parts of moments, odd ones the imaginary parts.

    A density is its coefficients [(degree + 1)²] of real harmonics of mean square 1, even degrees first; that of
    degree 0 is 1. Its moments are linear in them (Sharon et al. 2020, eq. 14, for in-plane turns averaged over).
    """

    def __init__(self, degree: int, order: int = NODES_ORDER) -> None:
        grid = directions(order).double()
        x, y, z = grid.unbind(-1)
        sign = torch.where(z.abs() > 1e-9, z, torch.where(y.abs() > 1e-9, y, x))
        self.directions: Float[Tensor, "q 3"] = grid[sign > 0]
        self.degree = degree
        of = torch.cat([torch.full((2 * p + 1,), p) for p in range(degree + 1)])
        self._columns = torch.cat([torch.nonzero(of % 2 == parity)[:, 0] for parity in (0, 1)])
        self.even = int((of % 2 == 0).sum())

    def harmonics(self, where: Float[Tensor, "n 3"]) -> Float[Tensor, "n h"]:
        """At unit vectors."""
        return solid_harmonics(where, self.degree)[:, self._columns] * math.sqrt(4 * math.pi)

    @cached_property
    def rotations(self) -> Float[Tensor, "q 3 3"]:
        """One rotation R for each direction Rᵀ e_z."""
        x, y, z = self.directions.unbind(-1)
        angles = (torch.rad2deg(angle) for angle in (torch.atan2(y, x), torch.arccos(z), torch.zeros_like(z)))
        return euler_to_matrix(*angles)

    @cached_property
    def table(self) -> Float[Tensor, "q h"]:
        """The harmonics at the directions."""
        return self.harmonics(self.directions)

    @cached_property
    def _everywhere(self) -> Float[Tensor, "n h"]:
        opposite = torch.cat([self.table[:, : self.even], -self.table[:, self.even :]], 1)
        return torch.cat([self.table, opposite])

    @property
    def uniform(self) -> Float[Tensor, " h"]:
        """Of the uniform density."""
        return torch.eye(1, self.table.shape[1], dtype=torch.float64)[0]

    def weights(self, density: Float[Tensor, " h"]) -> tuple[Float[Tensor, " q"], Float[Tensor, " q"]]:
        """By which real and imaginary parts at the directions are summed."""
        table = self.table / len(self.table)
        return table[:, : self.even] @ density[: self.even], table[:, self.even :] @ density[self.even :]

    def of_table(self, table: Float[Tensor, "n 4"]) -> Float[Tensor, " h"]:
        """The density of directions x, y, z with weights: the means of the harmonics."""
        where = torch.nn.functional.normalize(table[:, :3].double(), dim=-1)
        share = table[:, 3].double() / table[:, 3].double().sum()
        return share @ self.harmonics(where)

    def as_table(self, density: Float[Tensor, " h"]) -> Float[Tensor, "n 4"]:
        """x, y, z and the density there over that of the uniform one, at twice as many directions."""
        where = torch.cat([self.directions, -self.directions])
        return torch.cat([where, (self._everywhere @ density)[:, None]], 1)

    def fitted(
        self,
        products: tuple[Float[Tensor, "q n"], Float[Tensor, "q n"]],
        wanted: tuple[Float[Tensor, " n"], Float[Tensor, " n"]],
        weight: Float[Tensor, " n"],
    ) -> tuple[Float[Tensor, " h"], float]:
        """The density whose averages of ``products`` (real, imaginary) are nearest the ``wanted`` ones in weighted
        least squares, under a normal prior of variance 1, and next to nowhere negative: a quadratic penalty at the
        directions where it is, found by Newton steps over the set of them. Also the cost of prior and penalty."""
        root, columns = weight.sqrt(), self.table / len(self.table)
        real = (products[0].T @ columns[:, : self.even]) * root[:, None]
        imaginary = (products[1].T @ columns[:, self.even :]) * root[:, None]
        residual = wanted[0] * root - real[:, 0]
        real = real[:, 1:]
        normal = torch.block_diag(real.T @ real, imaginary.T @ imaginary)
        pull = torch.cat([real.T @ residual, imaginary.T @ (wanted[1] * root)])
        normal = normal + torch.eye(len(normal), dtype=normal.dtype)
        slope = self._everywhere[:, 1:]
        stiffness = STIFFNESS * float(normal.diagonal().mean()) / len(slope)
        below = torch.zeros(len(slope), dtype=torch.bool)
        found = torch.linalg.solve(normal, pull)
        for _ in range(ACTIVE_TURNS):
            now = 1 + slope @ found < 0
            if torch.equal(now, below):
                break
            below, held = now, slope[now]
            found = torch.linalg.solve(normal + stiffness * held.T @ held, pull - stiffness * held.sum(0))
        negative = (1 + slope @ found).clamp(max=0)
        cost = 0.5 * float(found.square().sum()) + 0.5 * stiffness * float(negative.square().sum())
        return torch.cat([found.new_ones(1), found]), cost
