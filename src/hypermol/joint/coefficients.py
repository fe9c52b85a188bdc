"""The other half of a Gibbs sampler: coefficients of a linear volume given every pose and z, exactly Gaussian.

log p(images | a) = const + 2 hᵀa - aᵀGa with a the coefficients [Q, N], G = Σ_i b(z_i) b(z_i)ᵀ ⊗ A_iᵀ W_i A_i and
h = Σ_i b(z_i) ⊗ A_iᵀ y_i. A_i is real for even l and imaginary for odd l, so that G falls into two blocks, one of each
parity. The prior is a_qn ~ N(0, λ_q v_qn), λ_q inverse-gamma of mean 1, conjugate too.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from hypermol.imaging import image_rotations, slice_coordinates
from hypermol.joint.states import States
from hypermol.joint.targets import BasisTarget, centred_numerator
from hypermol.shapes import Float

_ROWS = 1 << 12  # pixels whose functions are held at a time
SHAPE = 3.0
PARITIES = ("even", "odd")


def normal_equations(target: BasisTarget, at: States) -> dict[str, Tensor]:
    """Sums over the particles of a batch, by parity: "gram even" [C, Q·Ne, Q·Ne] and "pull even" [C, Q·Ne] of each
    chain, and the same for odd; float64."""
    functions = target.conformations.values(at.z)
    centred = centred_numerator(target.numerator, target.batch, at.shift)
    rotation = image_rotations(at.rotation, target.batch.tilt.double())
    chains = [_sums(target, rotation[:, c], functions[:, c], centred[:, c]) for c in range(len(target.coefficients))]
    return {name: torch.stack([one[name] for one in chains]) for name in chains[0]}


def _sums(target: BasisTarget, rotation: Tensor, functions: Tensor, centred: Tensor) -> dict[str, Tensor]:
    """Of one chain: rotation [B, J, 3, 3], functions [B, Q], centred [B, J, P]."""
    count, half = functions.shape[1], target.expansion.even
    sizes = dict(zip(PARITIES, (half, target.expansion.size - half), strict=True))
    gram = {p: functions.new_zeros(count, n, count, n) for p, n in sizes.items()}
    pull = {p: functions.new_zeros(count, n) for p, n in sizes.items()}
    step = max(1, _ROWS // (rotation.shape[1] * len(target.plane)))
    for start in range(0, len(functions), step):
        some = slice(start, start + step)
        k = slice_coordinates(target.batch.lattice.k.double(), rotation[some])
        design = target.expansion.design(k)
        weight = target.weight[some].flatten()
        mixing = functions[some, None, None].expand(*k.shape[:3], count).flatten(0, 2)
        for parity, columns, image in (
            ("even", design[..., :half], centred[some].real),
            ("odd", design[..., half:], centred[some].imag),
        ):
            rows = columns.flatten(0, 2)
            pull[parity] += (mixing * image.reshape(-1, 1)).T @ rows
            for q in range(count):
                for r in range(q + 1):
                    block = (rows * (weight * mixing[:, q] * mixing[:, r])[:, None]).T @ rows
                    gram[parity][q, :, r] += block
                    if r < q:
                        gram[parity][r, :, q] += block
    sums = {f"gram {p}": gram[p].flatten(2).flatten(0, 1) for p in PARITIES}
    return sums | {f"pull {p}": pull[p].flatten() for p in PARITIES}


@dataclasses.dataclass(frozen=True, eq=False)
class CoefficientPosterior:
    """N(mean, precision⁻¹) of the coefficients of each chain, as a Cholesky factor by parity."""

    mean: dict[str, Float[Tensor, "c m"]]
    factor: dict[str, Float[Tensor, "c m m"]]
    shape: tuple[int, int]

    @staticmethod
    def of(sums: dict[str, Tensor], variance: Float[Tensor, "c q n"]) -> CoefficientPosterior:
        """From ``normal_equations`` of all particles and the prior's variances."""
        mean, factor = {}, {}
        half = sums["pull even"].shape[1] // variance.shape[1]
        for parity, own in (("even", variance[..., :half]), ("odd", variance[..., half:])):
            precision = 2 * sums[f"gram {parity}"] + torch.diag_embed(1 / own.flatten(1))
            factor[parity] = torch.linalg.cholesky(precision)
            mean[parity] = torch.cholesky_solve(2 * sums[f"pull {parity}"][..., None], factor[parity])[..., 0]
        return CoefficientPosterior(mean, factor, (variance.shape[1], variance.shape[2]))

    def drawn(self, generator: torch.Generator) -> Float[Tensor, "c q n"]:
        """One exact draw for each chain."""
        parts = []
        for parity in PARITIES:
            noise = torch.randn(self.mean[parity].shape, generator=generator, dtype=torch.float64)
            noise = noise.to(self.mean[parity].device)[..., None]
            step = torch.linalg.solve_triangular(self.factor[parity].mT, noise, upper=True)[..., 0]
            parts.append((self.mean[parity] + step).unflatten(1, (self.shape[0], -1)))
        return torch.cat(parts, 2)


def drawn_powers(
    coefficients: Float[Tensor, "c q n"], variance: Float[Tensor, "q n"], seed: int
) -> Float[Tensor, "c q"]:
    """λ of each function of z given the coefficients: inverse-gamma of shape 3 + N/2 (the prior: shape 3, mean 1)."""
    size = coefficients.shape[-1]
    gamma = np.random.default_rng(seed).standard_gamma(SHAPE + size / 2, coefficients.shape[:2])
    rest = (SHAPE - 1) + 0.5 * (coefficients.square() / variance).sum(-1)
    return rest / torch.from_numpy(gamma).to(rest)
