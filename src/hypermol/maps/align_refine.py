"""Continuous refinement of a rotation and a shift by damped Gauss-Newton steps on the shells' correlation."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hypermol.imaging import rotvec_to_matrix
from hypermol.maps.align_search import Candidate, shell_normalised
from hypermol.maps.align_transform import SplineTransform, half_ball, phases
from hypermol.shapes import Complex, Float, Int

_STEPS = 25
_POINTS, _ALL_BELOW = 20_000, 14.5


@dataclass(frozen=True)
class Refinement:
    """The fixed map up to one band, against which candidates of one hand are refined.

    ``target`` holds its transform at ``points`` (k D = x, y, z; x ≥ 0), each shell of norm 1; ``twice`` is 2 where a
    point stands for its mirror image too; ``count`` is the number of points of each shell.
    """

    moving: SplineTransform
    box: int
    band: int
    points: Float[Tensor, "p 3"]
    shell: Int[Tensor, " p"]
    twice: Float[Tensor, " p"]
    target: Complex[Tensor, " p"]
    count: Float[Tensor, " s"]

    def refined(self, start: Candidate, small: float, rounds: int = 1) -> Candidate:
        """The nearest best placement, to steps below ``small`` (radians; shares of the box); its score is the mean
        FSC over shells 1 … band. A shell of n points weighs n FSC/(1 - FSC²), FSC at the start of each
        round: that of two equally noisy maps' likelihood, bounded where there is no noise."""
        rotation, shift = start.rotation, start.shift_px
        for _ in range(rounds):
            alike = self._fsc(self._placed(rotation, shift)).clamp(0, 1)
            weight = self.count * alike / (1.01 - alike**2)
            if not float(weight[1:].sum()) > 0:
                weight = self.count
            rotation, shift = self._ascend(rotation, shift, (weight / weight[1:].sum())[self.shell], small)
        score = float(self._fsc(self._placed(rotation, shift))[1:].mean())
        return replace(start, rotation=rotation, shift_px=shift, score=score)

    def _ascend(self, rotation: Tensor, shift: Tensor, weight: Tensor, small: float) -> tuple[Tensor, Tensor]:
        damping = 1e-3
        score, gradient, curvature = self._expanded(rotation, shift, weight)
        for _ in range(_STEPS):
            damped = curvature + damping * torch.diag(curvature.diagonal())
            step = torch.linalg.solve(damped, gradient)
            turned = rotvec_to_matrix(step[:3]) @ rotation
            moved = shift + self.box * step[3:]
            found = self._expanded(turned, moved, weight)
            if found[0] > score:
                rotation, shift, damping = turned, moved, max(damping / 5, 1e-6)
                score, gradient, curvature = found
            else:
                damping *= 10
            if float(step.abs().max()) < small or damping > 1e6:
                break
        return rotation, shift

    def _expanded(self, rotation: Tensor, shift: Tensor, weight: Tensor) -> tuple[float, Tensor, Tensor]:
        """Score Σ w Re(g* f), its slope along (rotation vector, shift / D), and Gauss-Newton's curvature of it.

        Turning further by ω moves the point that is looked up by -Rᵀ(ω × k): f' = -(k × R∇F)·ω.
        """
        raw, slope = self.moving.with_slope(self.points @ rotation)
        scale = shell_normalised(raw, self.points, self.shell)
        factor = torch.where(raw == 0, torch.zeros_like(raw.real), (scale / raw).real)
        wave = phases(self.points, shift, self.box)
        values = scale * wave
        turn = -torch.linalg.cross(self.points.to(raw.dtype), slope @ rotation.T.to(raw.dtype)) * factor[:, None]
        turn = turn * wave[:, None]
        move = values[:, None] * (-2j * torch.pi * self.points)
        jacobian = torch.cat([turn, move], dim=1)
        growth = self.twice[:, None] * (values.conj()[:, None] * jacobian).real
        shells = growth.new_zeros(self.band + 1, 6).index_add(0, self.shell, growth)
        jacobian = jacobian - values[:, None] * shells[self.shell]  # each shell's norm stays 1
        each = weight * self.twice
        score = float((each * (self.target.conj() * values).real).sum())
        gradient = (each[:, None] * (self.target.conj()[:, None] * jacobian).real).sum(0)
        alike = self._fsc(values).clamp(min=0.05)[self.shell]
        curvature = (jacobian.conj().T @ ((each * alike)[:, None] * jacobian)).real
        return score, gradient, curvature + 1e-12 * torch.eye(6).to(curvature) * curvature.diagonal().max()

    def _placed(self, rotation: Tensor, shift: Tensor) -> Tensor:
        values = shell_normalised(self.moving.at(self.points @ rotation), self.points, self.shell)
        return values * phases(self.points, shift, self.box)

    def _fsc(self, values: Tensor) -> Tensor:
        return self._per_shell((self.target.conj() * values).real)

    def _per_shell(self, values: Tensor) -> Tensor:
        return values.new_zeros(self.band + 1).index_add(0, self.shell, self.twice * values)


def refinement(moving: SplineTransform, fixed: SplineTransform, box: int, band: int) -> Refinement:
    """Shells 1 … band of the fixed map, ready to refine placements of the moving one (both complex128)."""
    points = _thinned(half_ball(box, min(band + 0.5, box / 2 - 1e-6), fixed.coefficients.device)[0])
    shell = points.norm(dim=1).round().long().clamp(max=band)
    twice = torch.where(points[:, 0] == 0, 1.0, 2.0).double()
    target = shell_normalised(fixed.at(points), points, shell)
    count = twice.new_zeros(band + 1).index_add(0, shell, twice)
    return Refinement(moving, box, band, points, shell, twice, target, count)


def _thinned(points: Tensor) -> Tensor:
    """All points of the first shells and a fixed random choice of the others: six numbers need no more."""
    inner = points.norm(dim=1) < _ALL_BELOW
    beyond = int((~inner).sum())
    allowed = max(_POINTS - int(inner.sum()), 0)
    if beyond <= allowed:
        return points
    drawn = torch.rand(len(points), generator=torch.Generator().manual_seed(0)).to(points.device)
    return points[inner | (drawn < allowed / beyond)]
