"""Coarse alignment: every rotation of a grid, and for each all shifts at once by one inverse FFT."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hypermol.imaging import geodesic_angle_deg
from hypermol.maps.align_transform import SplineTransform, half_ball
from hypermol.shapes import Float

_BATCH = 192


@dataclass(frozen=True)
class Candidate:
    """One placement of the moving map and the mean FSC it has reached."""

    rotation: Float[Tensor, "3 3"]
    shift_px: Float[Tensor, "3"]
    mirrored: bool
    score: float


def search(
    moving: SplineTransform,
    fixed: SplineTransform,
    box: int,
    rotations: Float[Tensor, "r 3 3"],
    band: int,
    keep: int,
    apart_deg: float,
    mirrored: bool,
) -> list[Candidate]:
    """The ``keep`` best placements, no two closer than ``apart_deg``, by mean FSC over shells 1 … band at the best
    shift of each rotation. Shifts lie on a grid of 3 · band steps across the box."""
    small = 3 * band + (3 * band) % 2
    points, place = half_ball(small, band + 0.5, fixed.coefficients.device)
    points = points.float()
    shell = points.norm(dim=1).round().long()
    target = shell_normalised(fixed.at(points.to(fixed.coefficients.real.dtype)).to(torch.complex64), points, shell)
    table = torch.view_as_real(moving.coefficients.to(torch.complex64)).movedim(-1, 0)[None]
    scores, peaks = [], []
    for batch in rotations.float().to(table.device).split(_BATCH):
        where = (2 / moving.reach) * (points @ batch)
        sampled = torch.nn.functional.grid_sample(table, where[None, None], mode="bilinear", align_corners=True)[
            0, :, 0
        ]
        values = shell_normalised(torch.complex(sampled[0], sampled[1]), points, shell)
        half = values.new_zeros((len(batch), small * small * (small // 2 + 1)))
        half[:, place] = target * values.conj()
        cross = torch.fft.irfftn(half.reshape(len(batch), small, small, -1), s=(small,) * 3, norm="forward")
        best = cross.flatten(1).max(1)
        scores.append(best.values)
        peaks.append(best.indices)
    return _distinct(torch.cat(scores) / band, torch.cat(peaks), rotations, small, box, keep, apart_deg, mirrored)


def shell_normalised(values: Tensor, points: Float[Tensor, "p 3"], shell: Tensor) -> Tensor:
    """Values [..., P] over the norm of their shell (both halves counted), so that a shell's product sum is its FSC.

    The mean of the map, shell 0, becomes 0.
    """
    twice = torch.where(points[:, 0] == 0, 1.0, 2.0).to(values.real.dtype)
    power = twice * (values.real**2 + values.imag**2)
    total = power.new_zeros((*power.shape[:-1], int(shell.max()) + 1)).index_add(-1, shell, power)
    floor = 1e-12 * total.sum(-1, keepdim=True)
    scale = torch.where(total > floor, total.clamp(min=torch.finfo(total.dtype).tiny).rsqrt(), torch.zeros_like(total))
    scale[..., 0] = 0
    return values * scale[..., shell]


def _distinct(
    scores: Tensor,
    peaks: Tensor,
    rotations: Tensor,
    small: int,
    box: int,
    keep: int,
    apart_deg: float,
    mirrored: bool,
) -> list[Candidate]:
    chosen: list[Candidate] = []
    for index in scores.argsort(descending=True)[: 60 * keep].tolist():
        rotation = rotations[index].double().to(scores.device)
        if any(float(geodesic_angle_deg(rotation, c.rotation)) < apart_deg for c in chosen):
            continue
        peak = int(peaks[index])
        steps = [peak % small, peak // small % small, peak // small**2]
        shift = [(s if s < small / 2 else s - small) * box / small for s in steps]
        at = torch.tensor(shift, dtype=torch.float64, device=scores.device)
        chosen.append(Candidate(rotation, at, mirrored, float(scores[index])))
        if len(chosen) == keep:
            break
    return chosen
