"""Where the axes of a symmetric molecule lie in its map, and the map moved so that they lie where RELION puts them."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from hypermol.imaging import directions, rotvec_to_matrix, symmetry_generators
from hypermol.maps.align_search import search, shell_normalised
from hypermol.maps.align_transform import SplineTransform, half_ball, phases, spline_transform, transform_map
from hypermol.shapes import Float

_ORDER, _COARSE = 3, 8
"""Axes are looked for 7° apart, on so many shells."""
_KEPT, _APART_DEG, _REFINED = 8, 10.0, 4
_AROUND = 120
"""Angles about the first axis at which a second one is looked for, 3° apart."""
_FIRST_STEP, _ROUGH, _EXACT = 0.05, 2e-3, 1e-4
"""Of the refinement: radians, and shares of the box."""
_EQUAL = 0.01
"""Placements whose likelihoods differ by so few nats are as good as each other."""


@dataclass(frozen=True)
class SymmetryAxes:
    """What brings a map's axes of symmetry to where RELION puts them: r → R r + shift (pixels x, y, z), about the
    centre of the box (float64). ``agreement``: mean FSC of the map so placed with its copies, 1 … band shells; 1 for a
    map with the symmetry."""

    rotation: Float[Tensor, "3 3"]
    shift_px: Float[Tensor, "3"]
    agreement: float

    def place(self, map_: Float[Tensor, "d d d"]) -> Float[Tensor, "d d d"]:
        """The map, moved."""
        return transform_map(map_, self.rotation, self.shift_px)


def find_symmetry_axes(map_: Float[Tensor, "d d d"], symmetry: str, band: int) -> SymmetryAxes:
    """The axes of ``symmetry`` under which a map agrees best with its own turned copies.

    Axes of the group's first generator 7° apart by all shifts (FFT) on up to 8 shells; about the eight best the last
    generator in steps of 3°, by all shifts; the four best are refined there, and the best of these on ``band`` shells.
    How far a map of Cn lies along its axis, and how it is turned about it, is free and left nearly as it is. Raises
    ConfigError for a group that is none, DataError for an odd box.
    """
    generators = symmetry_generators(symmetry)
    spline = spline_transform(map_, band + 1)
    coarse = min(_COARSE, band)
    rough = _Agreement(spline, map_.shape[-1], coarse, generators)
    starts = _starts(spline, map_.shape[-1], coarse, generators)
    starts = sorted(starts, key=lambda axes: -rough.information(axes.rotation, axes.shift_px))[:_REFINED]
    best = max((rough.refined(start, _ROUGH) for start in starts), key=lambda axes: axes.agreement)
    return _Agreement(spline, map_.shape[-1], band, generators).refined(best, _EXACT)


def symmetry_agreement(map_: Float[Tensor, "d d d"], symmetry: str, band: int) -> float:
    """Mean FSC, shells 1 … band, of a map with its copies under a group whose axes are where RELION puts them."""
    spline = spline_transform(map_, band + 1)
    still = torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    return _Agreement(spline, map_.shape[-1], band, symmetry_generators(symmetry)).of(*still)


class _Agreement:
    """The mean FSC of one map with its copies, as a function of how it is placed."""

    def __init__(self, spline: SplineTransform, box: int, band: int, generators: Tensor) -> None:
        self._spline, self._box, self._band, self._generators = spline, box, band, generators
        self._points = half_ball(box, band + 0.5, spline.coefficients.device)[0]
        self._shell = self._points.norm(dim=1).round().long()
        self._twice = torch.where(self._points[:, 0] == 0, 1.0, 2.0).double()
        self._count = self._twice.new_zeros(band + 1).index_add(0, self._shell, self._twice)

    def of(self, rotation: Tensor, shift_px: Tensor) -> float:
        """Mean FSC, shells 1 … band, at one placement."""
        return float(self._curves(rotation, shift_px)[:, 1:].mean())

    def information(self, rotation: Tensor, shift_px: Tensor) -> float:
        """Of a shell of n points with FSC ρ, -n log(1 - ρ²): twice what two equally noisy maps say for being one, by
        which shells of noise count for nothing; bounded where there is no noise."""
        alike = self._curves(rotation, shift_px)[:, 1:].clamp(min=0)
        return -float((self._count[1:] * (1.01 - alike.square()).log()).mean(0).sum())

    def _curves(self, rotation: Tensor, shift_px: Tensor) -> Tensor:
        """FSC with the copy of each generator [m, band + 1]."""
        own = self._values(self._points, rotation, shift_px)
        copies = [self._values(self._points @ turn, rotation, shift_px) for turn in self._generators.to(own.device)]
        each = torch.stack([self._twice * (own.conj() * copy).real for copy in copies])
        return each.new_zeros(len(each), self._band + 1).index_add(1, self._shell, each)

    def refined(self, start: SymmetryAxes, exact: float) -> SymmetryAxes:
        """The best placement near one (Nelder and Mead's simplex), to ``exact`` radians and shares of the box."""
        free = [0, 1, 3, 4] if len(self._generators) == 1 else list(range(6))  # Cn: nothing says where along z

        def placed(step: np.ndarray) -> tuple[Tensor, Tensor]:
            whole = torch.zeros(6, dtype=torch.float64)
            whole[free] = torch.from_numpy(step)
            turn = rotvec_to_matrix(whole[:3])
            return turn @ start.rotation, turn @ start.shift_px + self._box * whole[3:]

        simplex = np.concatenate([np.zeros((1, len(free))), _FIRST_STEP * np.eye(len(free))])
        simplex[:, np.array(free) >= 3] *= 0.5
        options = {"initial_simplex": simplex, "xatol": exact, "fatol": _EQUAL, "maxfev": 150 * len(free)}
        found = minimize(
            lambda step: -self.information(*placed(step)), np.zeros(len(free)), method="Nelder-Mead", options=options
        )
        best = placed(found.x)
        return SymmetryAxes(*best, self.of(*best))

    def _values(self, points: Tensor, rotation: Tensor, shift_px: Tensor) -> Tensor:
        values = self._spline.at((points @ rotation.to(points)).to(self._spline.coefficients.real.dtype))
        values = values.to(torch.complex128) * phases(points, shift_px.to(points), self._box)
        return shell_normalised(values, self._points, self._shell)


def _starts(spline: SplineTransform, box: int, band: int, generators: Tensor) -> list[SymmetryAxes]:
    """Placements worth refining."""
    first, last = generators[0], generators[-1]
    axis = directions(_ORDER)
    axis = axis[axis[:, 2] > 0]  # an axis has no sign: a turn and its inverse agree equally
    upright = _upright(axis)
    by_axis = _best(spline, box, band, upright.mT @ first @ upright)
    starts = []
    for index, turn, shift in by_axis:
        if len(generators) == 1:
            starts.append(_placed(upright[index], [turn], [shift]))
            continue
        angle = torch.arange(_AROUND, dtype=torch.float64) * (2 * torch.pi / _AROUND)
        frames = rotvec_to_matrix(angle[:, None] * torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)) @ upright[index]
        around = _best(spline, box, band, frames.mT @ last @ frames)[:2]
        starts += [_placed(frames[j], [turn, second], [shift, moved]) for j, second, moved in around]
    return starts


def _best(spline: SplineTransform, box: int, band: int, turns: Tensor) -> list[tuple[int, Tensor, Tensor]]:
    """Of turns of the map about axes of its own, the best: which, itself, and the shift that goes with it."""
    found = search(spline, spline, box, turns, band, _KEPT, _APART_DEG, mirrored=False)
    which = [int((turns.to(one.rotation) - one.rotation).abs().sum((1, 2)).argmin()) for one in found]
    return [(index, one.rotation.cpu(), one.shift_px.cpu()) for index, one in zip(which, found, strict=True)]


def _placed(frame: Tensor, turns: list[Tensor], shifts: list[Tensor]) -> SymmetryAxes:
    """The map turned by ``frame``, its centre at that of the box: what r → S r + t leaves where it is has r - S r = t,
    by least squares of all turns, the nearest such point."""
    still = torch.cat([torch.eye(3, dtype=torch.float64) - turn for turn in turns])
    centre = torch.linalg.pinv(still, rtol=1e-3) @ torch.cat(shifts)
    return SymmetryAxes(frame, -frame @ centre, 0.0)


def _upright(axis: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3 3"]:
    """For each axis the shortest turn that takes it to z."""
    vertical = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    normal = torch.linalg.cross(axis, vertical.expand_as(axis))
    length = normal.norm(dim=1, keepdim=True)
    angle = torch.atan2(length, axis[:, 2:])
    return rotvec_to_matrix(normal / length.clamp(min=1e-12) * angle)
