"""Images as ``classify`` sees them: in one box or another, and what they say of each map."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from hypermol.errors import ConfigError
from hypermol.imaging import Lattice, fft3, fourier_crop, ifft3
from hypermol.kernels import slice_separate
from hypermol.maps import read_map, soft_sphere
from hypermol.metrics import resolution
from hypermol.reconstruction import Insertion, insertion, molecule_mask


@dataclasses.dataclass(frozen=True)
class Images:
    """The valid images of a batch ready for slicing and insertion; owner [n]: the particle of each; half [B]."""

    parts: Insertion
    owner: Tensor
    half: Tensor

    @staticmethod
    def of(batch: Any, oversampling: int) -> Images:
        """Raises DataError where the batch has no poses."""
        return Images(insertion(batch, oversampling), torch.nonzero(batch.valid)[:, 0], batch.half)


def statistics(grids: list[Tensor], images: Images, which: Tensor) -> tuple[Tensor, Tensor]:
    """Power and overlap [B, C] of each particle with each map (``kernels.slice_separate``), summed over its images.
    ``which`` [B]: the grid that each particle is held to."""
    parts, kind = images.parts, which[images.owner]
    power = torch.zeros(len(which), grids[0].shape[-1], dtype=torch.float64, device=which.device)
    overlap = torch.zeros_like(power)
    for own, grid in enumerate(grids):
        some = torch.nonzero(kind == own)[:, 0]
        if len(some):
            data = parts.numerator[some], parts.weight[some], parts.rotation[some], parts.lattice.k
            found = slice_separate(grid, *data, parts.lattice.box, parts.oversampling)
            power.index_add_(0, images.owner[some], found[0])
            overlap.index_add_(0, images.owner[some], found[1])
    return power, overlap


def own_overlap(images: Images, share: Tensor, variance: Tensor) -> Tensor:
    """How much of the overlap [B, C] of particles with maps that they have a ``share`` E[a 1(c)] [B, C] in is with
    their own noise, to first order: 2 E[a 1(c)] Σ_p w C² Var V_c.

    ``variance`` [B, C, S]: of the maps that each particle is held to, per shell. A particle judged by what is left is
    judged by maps without it: otherwise it would stay where it is for its own sake, the more the smaller the class.
    """
    lattice = images.parts.lattice
    known = variance[..., : lattice.band_limit + 1]
    per_image = torch.zeros(len(images.owner), known.shape[-1], dtype=torch.float64, device=known.device)
    per_image.index_add_(1, lattice.shell, images.parts.weight.double())
    told = torch.zeros(len(share), known.shape[-1], dtype=torch.float64, device=known.device)
    told.index_add_(0, images.owner, per_image)
    return 2 * share * torch.einsum("bs,bcs->bc", told, known)


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
    scale = full.box / box
    lattice = Lattice(box, batch.lattice.k * scale, batch.lattice.weight, batch.lattice.shell)
    return dataclasses.replace(batch, lattice=lattice, pixel_size=batch.pixel_size * scale)


def resized(maps: Tensor, box: int) -> Tensor:
    """Maps [..., D, D, D] in another box of the same width, with the same transform where both have one."""
    margin = (box - maps.shape[-1]) // 2
    if margin == 0:
        return maps.contiguous()
    return ifft3(torch.nn.functional.pad(fft3(maps), (margin,) * 6)).real.contiguous()


def given_mask(path: str, expected: int, box: int) -> Tensor:
    """The map file ``path`` as a mask in ``box``. Raises ConfigError where its box is not the ``expected`` one."""
    mask, _ = read_map(path)
    if mask.shape[-1] != expected:
        raise ConfigError(f"mask: {path} has a box of {mask.shape[-1]} px, expected the images' {expected} px")
    return fourier_crop(mask.float(), box, dims=3).clamp(0, 1)


def masks(
    common: Tensor, difference: Tensor, curves: Tensor, pixel_size: float, kind: str, expected: int
) -> dict[str, Tensor]:
    """support and mask, outside of which the maps ``common`` [2, M, D, D, D] are 0 and those of ``difference``
    [2, C, D, D, D] do not differ: around all that is there and all in which classes differ, or as they were told
    (``kind``: "auto", "sphere", or a file in the box ``expected``)."""
    box = common.shape[-1]
    if kind == "sphere":
        support = soft_sphere(box, 0.42 * box, 0.06 * box).to(common)
    else:
        density = common.mean((0, 1)).clamp(min=0) + difference.mean(0).square().mean(0).sqrt()
        support = molecule_mask(density, pixel_size, resolution(curves.mean(0), pixel_size))[0]
    inside = support if kind in ("auto", "sphere") else given_mask(kind, expected, box).to(common)
    return {"support": support, "mask": inside}
