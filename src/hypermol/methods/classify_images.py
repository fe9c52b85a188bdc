"""Images as ``classify`` sees them: in one box or another, and what they say of each map."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from hypermol.imaging import Lattice
from hypermol.maps import centred_sphere
from hypermol.methods.masks import SHAPES, given_mask
from hypermol.methods.particle_images import Images
from hypermol.metrics import resolution
from hypermol.reconstruction import molecule_mask


def own_overlap(images: Images, share: Tensor, variance: Tensor) -> Tensor:
    """How much of the overlap [B, C] of particles with maps that they have a ``share`` E[a 1(c)] [B, C] in is with
    their own noise, to first order: 2 E[a 1(c)] Σ_p w C² Var V_c.

    ``variance`` [B, C, S]: of the maps that each particle is held to, per shell. A particle judged by what is left is
    judged by maps without it: otherwise it would stay where it is for its own sake, the more the smaller the class.
    """
    per_image = weight_by_shell(images.parts.weight, images.parts.lattice)
    told = per_image.new_zeros(len(share), per_image.shape[1]).index_add_(0, images.owner, per_image)
    return 2 * share * torch.einsum("bs,bcs->bc", told, variance[..., : told.shape[1]])


def weight_by_shell(weight: Tensor, lattice: Lattice) -> Tensor:
    """Σ_p w C² of n images [n, P] in each shell of their band, [n, S] float64."""
    found = torch.zeros(len(weight), lattice.band_limit + 1, dtype=torch.float64, device=weight.device)
    return found.index_add_(1, lattice.shell, weight.double())


def coarse_box(box: int, share: float) -> int:
    """The smallest box (even) that holds the shells up to ``share`` of Nyquist, and at least four."""
    last = box // 2 - 1
    return 2 * (min(last, max(4, round(share * last))) + 1)


def coarse(batch: Any, box: int) -> Any:
    """The same particles as images of a smaller ``box`` with larger pixels; what does not fit is left out. Transforms
    are unscaled, so that values stay what they are."""
    full = batch.lattice
    if box == full.box:
        return batch
    batch = batch.limit(min(full.band_limit, box // 2 - 1))
    return dataclasses.replace(batch, lattice=batch.lattice.in_box(box), pixel_size=batch.pixel_size * full.box / box)


def masks(
    common: Tensor, difference: Tensor, curves: Tensor, pixel_size: float, kind: str, expected: int
) -> dict[str, Tensor]:
    """support and mask, outside of which the maps ``common`` [2, M, D, D, D] are 0 and those of ``difference``
    [2, C, D, D, D] do not differ: around all that is there and all in which classes differ, or as they were told
    (``kind``: "auto", "sphere", or a file in the box ``expected``)."""
    box = common.shape[-1]
    if kind == "sphere":
        support = centred_sphere(box).to(common)
    else:
        density = common.mean((0, 1)).clamp(min=0) + difference.mean(0).square().mean(0).sqrt()
        support = molecule_mask(density, pixel_size, resolution(curves.mean(0), pixel_size))[0]
    inside = support if kind in SHAPES else given_mask(kind, expected, box).to(common)
    return {"support": support, "mask": inside}
