"""Models with different numbers of classes side by side, in one box or another; which of them to keep."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from hypermol.errors import ConfigError
from hypermol.imaging import Lattice, fft3, fourier_crop, ifft3
from hypermol.kernels import slice_separate
from hypermol.maps import read_map
from hypermol.reconstruction import Insertion, insertion

DEVIATIONS = 3.0  # by how many standard errors more classes must raise the held-out likelihood


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


def extended(curves: Tensor, shells: int, value: float | None = None) -> Tensor:
    """Curves [..., S] for more shells: ``value``, or their last one, from there on."""
    last = curves[..., -1:] if value is None else torch.full_like(curves[..., -1:], value)
    return torch.cat([curves, last.expand(*curves.shape[:-1], shells - curves.shape[-1])], -1).contiguous()


def given_mask(path: str, expected: int, box: int) -> Tensor:
    """The map file ``path`` as a mask in ``box``. Raises ConfigError where its box is not the ``expected`` one."""
    mask, _ = read_map(path)
    if mask.shape[-1] != expected:
        raise ConfigError(f"mask: {path} has a box of {mask.shape[-1]} px, expected the images' {expected} px")
    return fourier_crop(mask.float(), box, dims=3).clamp(0, 1)


def segments(models: list[int]) -> list[tuple[int, int]]:
    """Where the classes of each model begin and end among the channels."""
    ends = torch.tensor(models).cumsum(0).tolist()
    return [(end - classes, end) for end, classes in zip(ends, models, strict=True)]


def of_models(values: Tensor, models: list[int]) -> Tensor:
    """[h, M, ...] repeated for each class: [h, C, ...]."""
    return values.repeat_interleave(torch.tensor(models, device=values.device), 1)


def matched(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """For each of the maps ``first`` [K, D, D, D] the one of ``second`` that it goes with: the best one-to-one pairing
    by overlap inside ``weight`` (Kuhn 1955)."""
    from scipy.optimize import linear_sum_assignment

    overlap = (first * weight).flatten(1).double() @ (second * weight).flatten(1).double().T
    _, columns = linear_sum_assignment(overlap.cpu().numpy(), maximize=True)
    return torch.from_numpy(columns).to(first.device)


def chosen(models: list[int], evidence: Tensor) -> tuple[dict[int, int], int, list[list[float]]]:
    """From log-likelihoods [N, M] of images that the models were not fitted to: the best model of each number of
    classes; the smallest number that no other surpasses by ``DEVIATIONS`` standard errors; and for each number what it
    adds to one class less, per particle, with its standard error: [classes, gain, error]."""
    mean = evidence.double().mean(0)
    best = {
        k: max((m for m, n in enumerate(models) if n == k), key=lambda m: float(mean[m])) for k in sorted({*models})
    }
    numbers = list(best)

    def gain(more: int, fewer: int) -> tuple[float, float]:
        steps = (evidence[:, best[more]] - evidence[:, best[fewer]]).double()
        return float(steps.mean()), float(steps.std() / len(steps) ** 0.5)

    kept = next(
        k for k in numbers if all(g <= DEVIATIONS * e for g, e in (gain(other, k) for other in numbers if other != k))
    )
    rows = [[more, *gain(more, fewer)] for fewer, more in pairwise(numbers)]
    return best, kept, rows
