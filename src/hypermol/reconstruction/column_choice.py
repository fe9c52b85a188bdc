"""Which columns of the covariance to estimate: where the volumes vary most against the noise, apart from each other."""

from __future__ import annotations

import torch
from torch import Tensor

from hypermol.reconstruction.insertion import Insertion
from hypermol.reconstruction.linear import LinearInsertion
from hypermol.shapes import Float


def variance_insertion(residuals: Insertion) -> LinearInsertion:
    """The diagonal of the covariance, Σ(k, k), as a back projection: of |n|² - w C², weight (w C²)².

    ``residuals``: images less the mean (``columns.residual``); their own noise is taken off.
    """
    power = residuals.numerator.abs().square() - residuals.weight
    one = residuals.weight.new_ones(len(residuals.half), 1)
    own = Insertion(
        power.to(residuals.numerator.dtype),
        residuals.weight.square(),
        residuals.rotation,
        residuals.half,
        residuals.lattice,
        residuals.oversampling,
    )
    return LinearInsertion(own, one, one[..., None])


def chosen_columns(
    record: Float[Tensor, "z y x 3"], count: int, spacing: float, nearest: float, farthest: float
) -> Float[Tensor, "m 3"]:
    """Whole shells (x, y, z) of at most ``count`` columns by falling signal-to-noise ratio of the variance there, at
    least ``spacing`` apart from each other and from each other's conjugates, at radii ``nearest`` to ``farthest``.

    ``record``: complete sums of ``variance_insertion`` of both halves at oversampling 1. Of noise, its numerator has
    the variance of its weight: the ratio is numerator / √weight.
    """
    depth, height, width = record.shape[:3]
    z, y, x = torch.meshgrid(
        torch.arange(depth) - depth // 2, torch.arange(height) - height // 2, torch.arange(width), indexing="ij"
    )
    places = torch.stack([x, y, z], -1).flatten(0, 2).double()
    radius = places.norm(dim=1)
    x, y, z = places.unbind(1)
    own = (x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z > 0))))  # one of each ±ξ
    numerator, weight = record[..., 0].flatten().double().cpu(), record[..., 2].flatten().double().cpu()
    usable = own & (radius > nearest) & (radius <= farthest) & (weight > 0)
    ratio = torch.where(usable, numerator / weight.clamp(min=1e-30).sqrt(), -torch.inf)
    found: list[Tensor] = []
    while len(found) < count and bool(torch.isfinite(ratio).any()):
        best = places[ratio.argmax()]
        found.append(best)
        apart = torch.minimum((places - best).norm(dim=1), (places + best).norm(dim=1))
        ratio[apart < spacing] = -torch.inf
    return torch.stack(found) if found else places[:0]
