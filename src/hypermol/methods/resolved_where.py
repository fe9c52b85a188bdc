"""How well each place of a final map is resolved: the local FSC of its half maps."""

from __future__ import annotations

import torch
from torch import Tensor

from hypermol.metrics import local_resolution
from hypermol.shapes import Float

THRESHOLD, RADIUS = 0.5, 25.0
"""FSC, and radius of the window in Å (Cardone et al. 2013)."""


def resolved_where(
    first: Float[Tensor, "d d d"], second: Float[Tensor, "d d d"], mask: Float[Tensor, "d d d"], pixel_size: float
) -> tuple[Float[Tensor, "d d d"], str]:
    """Å at every voxel, 0 outside the mask and where nothing is resolved; and its quartiles in words."""
    found = local_resolution(first.float(), second.float(), pixel_size, mask, THRESHOLD, RADIUS)
    inside = found[mask >= 0.5].sort().values
    if not len(inside):
        return found.nan_to_num(nan=0.0, posinf=0.0), "local resolution: the mask is empty"
    quartiles = [float(inside[round(share * (len(inside) - 1))]) for share in (0.25, 0.5, 0.75)]
    return found.nan_to_num(nan=0.0, posinf=0.0), (
        f"local resolution in the mask (FSC {THRESHOLD:g} of the half maps within {RADIUS:g} Å): quartiles "
        f"{', '.join(_angstrom(value) for value in quartiles)}; local-resolution.mrc has it at every voxel"
    )


def _angstrom(value: float) -> str:
    return "nothing resolved" if value == torch.inf else f"{value:.1f} Å"
