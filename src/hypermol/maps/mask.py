"""Soft masks of maps: a sphere, or the shape of the molecule itself."""

import numpy as np
import torch
from torch import Tensor

from hypermol.errors import ConfigError, DataError
from hypermol.kernels.box import require_even_box
from hypermol.maps.filter import low_pass
from hypermol.shapes import Float


def soft_sphere(
    box: int, radius_px: float, edge_px: float = 0.0, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "d d d"]:
    """1 inside ``radius_px`` of the centre, 0 beyond ``radius_px + edge_px``, a raised cosine between."""
    axis = torch.arange(require_even_box(box), dtype=torch.float64) - box // 2
    radius = torch.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    return _raised_cosine(radius - radius_px, edge_px).to(dtype)


def centred_sphere(box: int) -> Float[Tensor, "d d d"]:
    """The soft sphere in which a centred molecule is expected: 0.42 of the box, an edge of 0.06."""
    return soft_sphere(box, 0.42 * box, 0.06 * box)


def automatic_mask(
    map_: Float[Tensor, "d d d"],
    pixel_size: float,
    resolution: float = 15.0,
    extend: float = 6.0,
    edge: float = 9.0,
    threshold: float | None = None,
) -> Float[Tensor, "d d d"]:
    """Soft mask around the molecule in a map: low-pass, threshold, keep the large pieces, extend, soften.

    resolution: Å of the low-pass (at least 2.5 pixels). threshold: density of the low-passed map; default by
    Otsu's method on the positive densities inside the sphere of the box (Otsu 1979). Pieces that are both
    smaller than a tenth of the largest and nowhere half as dense as the densest point are dropped, as noise makes them
    (a small domain is small and dense); holes are filled. extend, edge: Å of solid and of cosine edge.

    Raises DataError where the map holds nothing above the threshold, ConfigError for negative lengths.
    """
    from scipy import ndimage

    if min(extend, edge) < 0:
        raise ConfigError(f"mask: extend and edge must not be negative, found {extend} Å and {edge} Å")
    box = map_.shape[-1]
    smooth = low_pass(map_.double(), pixel_size, max(resolution, 2.5 * pixel_size))
    smooth = smooth * soft_sphere(box, box / 2 - 2, 0.0, torch.float64).to(smooth)
    values = smooth.cpu().numpy()
    level = otsu_threshold(values[values > 0]) if threshold is None else threshold
    solid = values > level
    if not solid.any():
        raise DataError(
            f"automatic mask: no density above {level:.4g} (largest {values.max():.4g}); is the contrast inverted?"
        )
    solid = ndimage.binary_fill_holes(_pieces_of_molecule(solid, values))
    distance = ndimage.distance_transform_edt(~solid) * pixel_size
    return _raised_cosine(torch.from_numpy(distance) - extend, edge).to(map_)


def _raised_cosine(beyond: Float[Tensor, "d d d"], edge: float) -> Float[Tensor, "d d d"]:
    """1 where ``beyond`` ≤ 0, 0 where it is > ``edge``."""
    if edge <= 0:
        return (beyond <= 0).to(beyond.dtype)
    return 0.5 + 0.5 * torch.cos(torch.pi * (beyond / edge).clamp(0, 1))


def _pieces_of_molecule(solid: np.ndarray, values: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    labels, count = ndimage.label(solid)
    sizes = np.bincount(labels.ravel())
    peaks = ndimage.maximum(values, labels, np.arange(count + 1))
    sizes[0] = 0
    kept = (sizes >= 0.1 * sizes.max()) | (peaks >= 0.5 * values.max())
    return kept[labels] & solid


def otsu_threshold(values: np.ndarray) -> float:
    """The threshold that best separates values of any shape into two groups: largest variance between them, on a
    histogram of 256 bins (Otsu 1979); 0 where there are no values."""
    if values.size == 0:
        return 0.0
    counts, edges = np.histogram(values, bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts).astype(np.float64)
    above = below[-1] - below
    mean_below = np.cumsum(counts * centres) / np.maximum(below, 1)
    mean_above = (np.sum(counts * centres) - np.cumsum(counts * centres)) / np.maximum(above, 1)
    between = below * above * (mean_below - mean_above) ** 2
    return float(edges[1:][np.argmax(between)])
