"""From columns of a covariance to principal components: a subspace, the covariance inside it, its leading directions.

The columns are a sketch of the covariance (Halko, Martinsson & Tropp 2011, SIAM Rev. 53:217): their range holds its
leading components. Inside it the covariance is estimated once more, by least squares over all pairs of pixels of each
image, now exactly: with Gram matrices G_i and projections b_i of the whitened residual images on the basis,

    Σ_i G_i S G_i = Σ_i (b_i b_iᵀ - G_i)

(Gilles & Singer 2025; Katsevich, Katsevich & Singer 2015, SIAM J. Imaging Sci. 8:126, in a basis).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hypermol.shapes import Float

_CHUNK = 1 << 20


def subspace(
    mean: Float[Tensor, "d d d"], columns: Float[Tensor, "c d d d"], dimensions: int
) -> Float[Tensor, "q d d d"]:
    """The mean itself, then at most ``dimensions`` orthonormal maps, orthogonal to the mean, that hold most of the
    columns (their leading singular vectors); fewer where the columns span less."""
    rows, centre = columns.flatten(1), mean.flatten()
    unit = centre / centre.norm().clamp(min=1e-30)
    rows = rows - (rows @ unit)[:, None] * unit
    parts = [part.double() for part in rows.split(_CHUNK, 1)]
    values, vectors = torch.linalg.eigh(sum((part @ part.T for part in parts), torch.zeros(())))
    values, vectors = values.flip(0)[:dimensions], vectors.flip(1)[:, :dimensions]
    kept = values > 1e-9 * values[:1].clamp(min=1e-30)
    turn = (vectors[:, kept] / values[kept].sqrt()).T.to(rows)
    return torch.cat([mean[None], (turn @ rows).unflatten(1, mean.shape)])


def pair_totals(gram: Float[Tensor, "n c c"], projection: Float[Tensor, "n c"]) -> Float[Tensor, "e c c"]:
    """What some particles add to the normal equations, [C² + 2, C, C] float64: Σ vec(G) vec(G)ᵀ, Σ (b bᵀ - G), Σ G.

    ``gram``, ``projection``: of images (not residuals) on (mean, basis), ``kernels.slice_moments``.
    """
    residual = projection - gram[:, :, 0]
    flat, channels = gram.flatten(1), gram.shape[1]
    right = residual.T @ residual - gram.sum(0)
    return torch.cat([(flat.T @ flat).view(-1, channels, channels), right[None], gram.sum(0)[None]])


@dataclass(frozen=True, eq=False)
class ReducedCovariance:
    """covariance [C, C] of the coefficients of (mean, basis) and information [C, C], the mean Gram matrix."""

    covariance: Float[Tensor, "c c"]
    information: Float[Tensor, "c c"]

    @staticmethod
    def of(totals: Float[Tensor, "e c c"], count: int) -> ReducedCovariance:
        """The solution of the normal equations over ``count`` particles; symmetric, not necessarily positive."""
        channels = totals.shape[1]
        information = totals[-1] / max(count, 1)
        # in units in which each coefficient is equally well seen the equations are well-conditioned
        unit = information.diagonal().clamp(min=1e-30).rsqrt()
        pairs = (totals[:-2] / max(count, 1)).view(channels, channels, channels, channels)
        pairs = torch.einsum("acbd,a,b,c,d->abcd", pairs, unit, unit, unit, unit)
        system = pairs.reshape(channels**2, channels**2)
        ridge = 1e-9 * torch.eye(channels**2, dtype=system.dtype, device=system.device) * system.diagonal().mean()
        right = (totals[-2] / max(count, 1)) * unit[:, None] * unit
        solution = torch.linalg.solve(system + ridge, right.flatten()).view(channels, channels)
        covariance = (solution + solution.T) / 2 * unit[:, None] * unit
        return ReducedCovariance(covariance, information)

    def components(self, count: int, contrast: bool) -> tuple[Float[Tensor, "k c"], float]:
        """Coefficients on (mean, basis) of the ``count`` directions of largest variance against the noise of an image
        (zeros where the variance is not positive), of length √variance; and the variance of the contrast.

        Contrast varies the mean: of the variance along the mean, what goes together with the other coefficients
        belongs to the components, the rest to the contrast (0, and the mean a direction like others, if not wanted).
        """
        first = 1 if contrast else 0
        own = self.covariance[first:, first:]
        factor = torch.linalg.cholesky(self.information[first:, first:] + self._floor(first))
        values, vectors = torch.linalg.eigh(factor.T @ own @ factor)
        values, vectors = values.flip(0)[:count].clamp(min=0), vectors.flip(1)[:, :count]
        rows = (torch.linalg.solve_triangular(factor.T, vectors, upper=True) * values.sqrt()).T
        rows = torch.cat([rows, rows.new_zeros(count - len(rows), rows.shape[1])])
        if not contrast:
            return rows, 0.0
        shared = self.covariance[0, 1:] @ factor @ vectors
        along = torch.where(values > 0, shared / values.clamp(min=1e-30).sqrt(), 0.0)
        along = torch.cat([along, along.new_zeros(count - len(along))])
        variance = float((self.covariance[0, 0] - along.square().sum()).clamp(min=0))
        return torch.cat([along[:, None], rows], 1) / (1 + variance) ** 0.5, variance

    def _floor(self, first: int) -> Tensor:
        diagonal = self.information.diagonal()[first:]
        return 1e-9 * diagonal.mean() * torch.eye(len(diagonal), dtype=diagonal.dtype, device=diagonal.device)
