"""How the map changes along a coordinate, straight from the images: a regression per Fourier voxel.

X = C (V₀ + c V₁) + noise for images with coordinate c. The normal equations of (V₀, V₁), with V₀ eliminated at each
node (Schur complement), give V₁. A coordinate that only knows how a particle lay gives V₁ = 0 for a rigid molecule,
because V₀ is fitted among the very images that meet at a node.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.imaging import slice_coordinates
from hypermol.kernels import grid_shape, insert_grid, symmetrise_grid
from hypermol.reconstruction import Accumulators, half_map, insertion
from hypermol.shapes import Float

OVERSAMPLING = 2
GRID_BYTES = 1 << 30
BATCH = 256
IMAGES_AT_ONCE = 64


def change_maps(
    sources: tuple[Any, Any], coordinates: tuple[Float[np.ndarray, "n q"], Float[np.ndarray, "m q"]]
) -> tuple[Float[Tensor, "2 q d d d"], Float[Tensor, "2 d d d"]]:
    """V₁ along each of q coordinates and the mean map V₀ (at coordinate 0), for each of two sources of images.

    Unfiltered maps; V₁ is per unit of the coordinate. Raises DataError where there are no poses.
    """
    box, axes = sources[0].lattice.box, coordinates[0].shape[1]
    at_once = max(1, GRID_BYTES // (2 * 48 * int(np.prod(grid_shape(box, OVERSAMPLING)))))
    changes, mean = [], torch.zeros(0)
    for start in range(0, axes, at_once):
        chosen = slice(start, min(axes, start + at_once))
        sums = [_sums(source, c[:, chosen]) for source, c in zip(sources, coordinates)]
        mean = torch.stack(_maps(box, [(numerator[..., 0], weight) for numerator, weight in sums]))
        for axis in range(chosen.stop - chosen.start):
            changes.append(torch.stack(_maps(box, [_eliminated(*pair, axis) for pair in sums])))
    return torch.stack(changes, 1), mean


def _sums(source: Any, coordinate: np.ndarray) -> tuple[Tensor, Tensor]:
    """Channels ΣCX, then per axis ΣcCX, ΣcC², Σc²C² (all over σ²), and the weight ΣC², complete at ±k."""
    box, axes = source.lattice.box, coordinate.shape[1]
    device = source.lattice.k.device
    shape = grid_shape(box, OVERSAMPLING)
    grid = torch.zeros(*shape, 1 + 3 * axes, dtype=torch.complex128, device=device)
    weight = torch.zeros(shape, dtype=torch.float64, device=device)
    table = torch.from_numpy(np.ascontiguousarray(coordinate, dtype=np.float32)).to(device)
    for batch in source.stream(torch.arange(source.count).split(BATCH)):
        given = insertion(batch, OVERSAMPLING)
        value = table[batch.particle.to(device)][:, None].expand(-1, batch.valid.shape[1], -1)[batch.valid]
        for part in torch.arange(len(value), device=device).split(IMAGES_AT_ONCE):
            channels = _channels(given.numerator[part], given.weight[part], value[part])
            points = slice_coordinates(given.lattice.k, given.rotation[part])
            insert_grid(channels, given.weight[part], points, box, OVERSAMPLING, out=(grid, weight))
    grid[:, :, :1] = symmetrise_grid(grid[:, :, :1])
    weight[:, :, :1] = symmetrise_grid(weight[:, :, :1, None])[..., 0]
    return grid, weight


def _channels(numerator: Tensor, weight: Tensor, value: Tensor) -> Tensor:
    """[n, p, 1 + 3q] complex."""
    c = value[:, None, :]
    w = weight[..., None]
    parts = torch.stack([numerator[..., None] * c, (w * c).to(numerator.dtype), (w * c**2).to(numerator.dtype)], -1)
    return torch.cat([numerator[..., None], parts.flatten(-2)], -1)


def _eliminated(grid: Tensor, weight: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Numerator and weight of V₁ at each node, V₀ taken out."""
    n0, n1 = grid[..., 0], grid[..., 1 + 3 * axis]
    w1, w2 = grid[..., 2 + 3 * axis].real, grid[..., 3 + 3 * axis].real
    mean = torch.where(weight > 0, w1 / weight.clamp(min=1e-300), 0.0)
    return n1 - mean * n0, (w2 - mean * w1).clamp(min=0)


def _maps(box: int, pairs: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
    sums = Accumulators.zeros(box, OVERSAMPLING, pairs[0][1].device)
    for half, (numerator, weight) in enumerate(pairs):
        sums.numerator(half).copy_(numerator)
        sums.weight(half).copy_(weight)
    return [half_map(sums, half).cpu() for half in range(2)]
