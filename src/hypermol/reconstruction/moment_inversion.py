"""A map, and where it was seen from, from the moments of its images: non-linear least squares from a random start."""

from __future__ import annotations

import dataclasses
from functools import cached_property

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from hypermol.reconstruction.image_moments import ImageMoments
from hypermol.reconstruction.rings import Rings
from hypermol.reconstruction.viewing import ViewingSphere
from hypermol.shapes import Float
from hypermol.volumes import Expansion

FIRST_SHELLS = 3
UNIFORM_STEPS, EARLY_STEPS = 40, 60
MEMORY = 20  # of L-BFGS


@dataclasses.dataclass(frozen=True, eq=False)
class Inverted:
    """coefficients [N] of an ``Expansion``; density [H] as of ``ViewingSphere``; ``cost``: half the squared residuals
    over their sampling variances, with the priors; ``misfit``: squared residuals over variances, mean."""

    coefficients: Float[Tensor, " n"]
    density: Float[Tensor, " h"]
    cost: float
    misfit: float


@dataclasses.dataclass(frozen=True, eq=False)
class MomentInversion:
    """The moments of a molecule V = Σ a_n f_n seen from directions of density ρ are sums over directions of products of
    features X(v) = G(v) a, cubic in a and linear in ρ (Sharon et al. 2020, section 3; with third moments: Hoskins et
    al. 2024). They are compared with those of the images, each over its sampling variance.

    box: pixels. spread [N]: prior deviation of the coefficients. known: the density [H], or None to fit it: for each
    a, the best ρ is a least-squares problem of its own, solved exactly, so that only a is searched.
    """

    rings: Rings
    box: int
    expansion: Expansion
    sphere: ViewingSphere
    moments: ImageMoments
    spread: Float[Tensor, " n"]
    known: Float[Tensor, " h"] | None = None

    def solve(self, start: Float[Tensor, " n"], steps: int) -> Inverted:
        """From ``start`` (in units of the spread): three shells under the density that is known, or else uniform; then
        shell by shell, the density fitted too; at most ``steps`` of L-BFGS with all shells."""
        fit, last = self.known is None, self.rings.shells
        first = min(FIRST_SHELLS, last)
        marches = [(first, False, UNIFORM_STEPS)] + [(shells, fit, EARLY_STEPS) for shells in range(first, last)]
        at, density = start.double().numpy(), self.sphere.uniform if self.known is None else self.known
        for shells, fitting, most in (*marches, (last, fit, steps)):
            stage = Stage(self, shells, density, fitting)
            done = minimize(
                stage, at, jac=True, method="L-BFGS-B", options={"maxiter": most, "maxcor": MEMORY, "maxfun": 2 * most}
            )
            at = done.x
            stage(at)
            density = stage.density
        return Inverted(torch.from_numpy(at) * self.spread, density, float(done.fun), stage.misfit)

    def predicted(self, coefficients: Float[Tensor, " n"], density: Float[Tensor, " h"]) -> tuple[Tensor, ...]:
        """The moments that a map and a density have, as ``ImageMoments.value``."""
        stage = Stage(self, self.rings.shells, density, False)
        real, imaginary = stage.averages(stage.products(coefficients))
        lengths = [places.shape[1] for places in self.rings.products]
        return torch.complex(real, imaginary).split(lengths)

    @cached_property
    def features(self) -> Float[Tensor, "q f 2 n"]:
        """What each coefficient adds to each feature seen from each direction, real and imaginary part."""
        sphere, rings = self.sphere, self.rings
        found = torch.empty(len(sphere.directions), len(rings.features), 2, self.expansion.size, dtype=torch.float64)
        odd = torch.arange(self.expansion.size) >= self.expansion.even  # i × a real design
        for s in range(1, rings.shells + 1):
            circle = torch.nn.functional.pad(rings.circle * (s / self.box), (0, 1))
            design = self.expansion.design(circle @ sphere.rotations)
            rows = torch.nonzero(rings.ring == s)[:, 0]
            waves = rings.waves[rows]
            real, imaginary = (torch.einsum("fa,qan->qfn", part, design) for part in (waves.real, waves.imag))
            found[:, rows, 0] = torch.where(odd, -imaginary, real)
            found[:, rows, 1] = torch.where(odd, real, imaginary)
        return found


class Stage:
    """Value and gradient of the cost on the rings up to ``shells``. After a call: ``density``, ``misfit``."""

    def __init__(self, inversion: MomentInversion, shells: int, density: Tensor, fitting: bool) -> None:
        rings, moments = inversion.rings, inversion.moments
        self.inversion, self.density, self.fitting, self.misfit = inversion, density, fitting, 0.0
        rows = torch.nonzero(rings.ring <= shells)[:, 0]
        self._basis = inversion.features[:, rows].flatten(0, 2)
        self._shape = (len(inversion.sphere.directions), len(rows), 2)
        place = torch.full((len(rings.features),), -1)
        place[rows] = torch.arange(len(rows))
        kept = [(place[places] >= 0).all(0) for places in rings.products]
        self._places = [place[places[:, keep]] for places, keep in zip(rings.products, kept, strict=True)]
        values, weights = (
            torch.cat([one[keep] for one, keep in zip(many, kept, strict=True)])
            for many in (moments.value, moments.weight)
        )
        self._wanted, self._weight = (values.real, values.imag), weights

    def products(self, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """Real and imaginary parts [Q, n] of the products of features, from each direction."""
        feature = torch.view_as_complex((self._basis @ coefficients).view(self._shape))
        one, pair, triple = self._places
        parts = [feature[:, one[0]], feature[:, pair[0]] * feature[:, pair[1]].conj()]
        parts.append(feature[:, triple[0]] * feature[:, triple[1]] * feature[:, triple[2]].conj())
        found = torch.cat(parts, 1)
        return found.real, found.imag

    def averages(self, products: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Their means under the density."""
        even, odd = self.inversion.sphere.weights(self.density)
        return even @ products[0], odd @ products[1]

    def __call__(self, at: np.ndarray) -> tuple[float, np.ndarray]:
        """At coefficients in units of their spread."""
        x = torch.from_numpy(at).clone().requires_grad_()
        products, cost = self.products(x * self.inversion.spread), 0.0
        if self.fitting:  # at its optimum the density's own derivative is 0
            still = products[0].detach(), products[1].detach()
            self.density, cost = self.inversion.sphere.fitted(still, self._wanted, self._weight)
        found = self.averages(products)
        apart = sum((one - other).square() for one, other in zip(found, self._wanted, strict=True))
        squares = (self._weight * apart).sum()
        total = 0.5 * squares + 0.5 * x.square().sum()
        (slope,) = torch.autograd.grad(total, x)
        self.misfit = float(squares.detach()) / (2 * len(self._weight))
        return float(total.detach()) + cost, slope.numpy()
