"""Frames for maps of one molecule in many shapes, chosen so that they differ little."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from hypermol.imaging import geodesic_angle_deg, rotvec_to_matrix
from hypermol.maps.align_transform import transform_map
from hypermol.maps.far_frames import far_frames
from hypermol.maps.resize import at_most
from hypermol.maps.rigid_fields import rigid_fields
from hypermol.shapes import Float

SIZE = 24
"""Larger maps are brought to so many pixels to find frames: a step costs a hundred times as much at 64 pixels."""
ROUNDS, REWEIGHTED = 40, 10
STILL = 1e-3
"""Steps as small (radians, pixels) end the rounds."""
FAR = 0.3
"""Where two maps differ by more than this share of what is in them, all frames are tried, not only those near by."""
SOFT = 0.5
"""Differences of less than this share of their root mean square count by their square, larger ones by themselves."""
DAMPING = 1e-6


def laid_still(maps: Float[Tensor, "n d d d"], shifts: bool = False) -> Float[Tensor, "n d d d"]:
    """The maps, each turned, mirrored (and shifted) as a whole to where it differs least from the mean of all.

    See ``StillFrames``.
    """
    return StillFrames(maps, shifts).laid


class StillFrames:
    """Frames and hands of maps [n, D, D, D] in which they differ least: as a rule those in which most of the molecule
    stands still, but a long arm that swings may be what does.

    The sum of absolute differences counts, for in the sum of squares what moves draws the rest along. From the most
    typical map on, each is laid on the map that it is most like of those that lie already, in small steps from where it
    is and from where that one was laid. If they then still differ much, it is laid on the most typical one (a map half
    way between two states in frames of their own is like both, in either's frame), also from where a search over all
    rotations and both hands puts it, and the nearest counts. Then all move in small steps onto their mean, renewed
    after each. What is relative between parts of a map is untouched: only frames and hands change, which projections
    in even views do not determine.
    """

    def __init__(self, maps: Float[Tensor, "n d d d"], shifts: bool = False) -> None:
        self._shifts = shifts
        small = torch.stack([at_most(map_, SIZE) for map_ in maps])
        self._scale = maps.shape[-1] / small.shape[-1]
        self._placed = _one_by_one(small, shifts)
        for _ in range(ROUNDS):
            mean = torch.stack([one.laid for one in self._placed]).mean(0)
            if max([one.step(mean, shifts) for one in self._placed]) < STILL:
                break
        self._mean = torch.stack([one.laid for one in self._placed]).mean(0)
        self.laid = torch.stack([self._lay(map_, one) for map_, one in zip(maps, self._placed, strict=True)])
        """The maps in their frames, [n, D, D, D]."""

    @property
    def turned_deg(self) -> float:
        """How far the map that was turned most was turned, degrees."""
        unturned = torch.eye(3, dtype=torch.float64)
        return max(float(geodesic_angle_deg(one.frame.rotation, unturned)) for one in self._placed)

    @property
    def mirrored(self) -> int:
        """How many maps were mirrored."""
        return sum(one.frame.mirrored for one in self._placed)

    def onto(self, map_: Float[Tensor, "d d d"], like: Sequence[int]) -> Float[Tensor, "d d d"]:
        """Another map, laid on the mean of these from where the maps ``like`` it were laid, whichever ends nearer."""
        starts = [self._placed[index].frame for index in like]
        return self._lay(map_, _nearest(at_most(map_, SIZE), self._mean, starts, self._shifts))

    def _lay(self, map_: Tensor, placed: _Placed) -> Tensor:
        if self._scale == 1:
            return placed.laid
        return dataclasses.replace(placed.frame, place=self._scale * placed.frame.place).lay(map_)


@dataclasses.dataclass(frozen=True)
class _Frame:
    """Mirrored first (z → -z) if so, then r → R r + place."""

    rotation: Tensor = dataclasses.field(default_factory=lambda: torch.eye(3, dtype=torch.float64))
    place: Tensor = dataclasses.field(default_factory=lambda: torch.zeros(3, dtype=torch.float64))
    mirrored: bool = False

    def lay(self, map_: Tensor) -> Tensor:
        return transform_map(map_, self.rotation, self.place, self.mirrored)


class _Placed:
    """A map and the frame it has been laid in, always from the map as it came."""

    def __init__(self, map_: Tensor, frame: _Frame | None = None) -> None:
        self.map, self.frame = map_, frame or _Frame()
        self.laid = self.frame.lay(map_)

    def step(self, fixed: Tensor, shifts: bool) -> float:
        """Lays the map nearer to ``fixed``; how far it moved, radians or pixels, whichever is more."""
        turn, move = _small_motion(self.laid, fixed, shifts)
        turned, was = rotvec_to_matrix(-turn), self.frame
        self.frame = _Frame(turned @ was.rotation, turned @ was.place - move, was.mirrored)
        self.laid = self.frame.lay(self.map)
        return max(float(turn.norm()), float(move.norm()))


def _one_by_one(maps: Tensor, shifts: bool) -> list[_Placed]:
    """Each map laid on one that lies already: a shortest tree of differences, from the most typical map."""
    flat = maps.flatten(1)
    apart = torch.cdist(flat, flat, p=1)
    typical = int(apart.sum(1).argmin())
    placed = {typical: _Placed(maps[typical])}
    while len(placed) < len(maps):
        lying = list(placed)
        left = [index for index in range(len(maps)) if index not in placed]
        place = int(apart[lying][:, left].argmin())
        like, index = lying[place // len(left)], left[place % len(left)]
        starts = [_Frame()] if like == typical else [_Frame(), placed[like].frame]
        found, fixed = _nearest(maps[index], placed[like].laid, starts, shifts), maps[typical]
        if _apart(found.laid, placed[like].laid) > FAR * float(fixed.abs().sum()):
            starts += [_Frame(rotation, mirrored=hand) for rotation, hand in far_frames(maps[index], fixed)]
            found = _nearest(maps[index], fixed, starts, shifts)
        placed[index] = found
    return [placed[index] for index in range(len(maps))]


def _nearest(map_: Tensor, fixed: Tensor, starts: Sequence[_Frame], shifts: bool) -> _Placed:
    """In small steps from each start; the one that ends nearest."""
    ways = [_Placed(map_, frame) for frame in starts]
    for way in ways:
        for _ in range(ROUNDS):
            if way.step(fixed, shifts) < STILL:
                break
    return min(ways, key=lambda way: _apart(way.laid, fixed))


def _apart(first: Tensor, second: Tensor) -> float:
    return float((first - second).abs().sum())


def _small_motion(map_: Tensor, mean: Tensor, shifts: bool) -> tuple[Tensor, Tensor]:
    """Rotation vector (radians) and shift (pixels) by which the map seems to be moved from the mean, to first order."""
    fields = rigid_fields(map_)[: 6 if shifts else 3].flatten(1).double()
    apart = (map_ - mean).flatten().double()
    weight, least = torch.ones_like(apart), SOFT**2 * apart.square().mean().clamp(min=1e-30)
    motion = apart.new_zeros(len(fields))
    for _ in range(REWEIGHTED):
        gram = (fields * weight) @ fields.T
        gram = gram + DAMPING * gram.diagonal().mean().clamp(min=1e-30) * torch.eye(len(gram)).to(gram)
        motion = torch.linalg.solve(gram, (fields * weight) @ apart)
        weight = 1 / ((apart - motion @ fields).square() + least).sqrt()
    return motion[:3].cpu(), motion[3:].cpu() if shifts else torch.zeros(3, dtype=torch.float64)
