"""What in a change of the map is a change of shape: not the map itself again, nor the whole map turned or shifted.

A coordinate that follows contrast, ice, defocus error or damage changes the map by a radial filter of itself; one that
follows errors of the poses turns or shifts the whole of it; one that follows the brightness of whole images changes it
by something round about the centre, where all images meet, be they pure noise. All of these reproduce between halves
without any motion.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hypermol.imaging import fft3, ifft3
from hypermol.metrics import shell_numbers
from hypermol.shapes import Float

FAINTEST = 1e-3
"""A shell counts as if its power were at least this share of the strongest one's: real maps have noise everywhere."""


def shape_change(change: Float[Tensor, "q d d d"], map_: Float[Tensor, "d d d"]) -> Float[Tensor, "q d d d"]:
    """``change`` less what a rigid turn or shift of ``map_`` (first order), any radial filter of it, and any function
    of the distance from the centre explain.

    The pieces are fitted by least squares, every shell weighted by the inverse of the change's own power.
    """
    box = map_.shape[-1]
    number = shell_numbers(box).flatten().clamp(max=box // 2)
    radial = _radial(fft3(map_.double()).flatten(), number)
    moves = torch.stack([_without(fft3(move).flatten(), radial, number) for move in _rigid_moves(map_.double())])
    kept = []
    for one in change.double():
        rest = _without(fft3(one).flatten(), radial, number)
        rest = rest - _fitted(rest, moves, number)
        kept.append(ifft3(rest.reshape(box, box, box)).real)
    return torch.stack(kept).to(change)


def _radial(whole: Tensor, number: Tensor) -> list[Tensor]:
    """Functions of |k|, and such times the map, piecewise linear over the shells; orthogonal to each other in each."""
    box = round(len(number) ** (1 / 3))
    axis = (torch.arange(box) - box // 2).double()
    within = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).sqrt().flatten() - number
    point = torch.ones_like(whole)
    found: list[Tensor] = []
    for function in (point, within * point, whole, within * whole):
        found.append(_without(function, found, number))
    return found


def _rigid_moves(map_: Tensor) -> Tensor:
    """The six derivatives of a map under shifts and rotations about the box's centre, [6, D, D, D]."""
    box = map_.shape[-1]
    axis = torch.arange(box, dtype=map_.dtype) - box // 2
    frequency = axis / box
    transform = fft3(map_)
    shape = [(-1, 1, 1), (1, -1, 1), (1, 1, -1)]
    slope = [ifft3(2j * torch.pi * frequency.reshape(s) * transform).real for s in shape]
    place = [axis.reshape(s) for s in shape]
    turns = [place[i] * slope[j] - place[j] * slope[i] for i, j in ((0, 1), (1, 2), (2, 0))]
    return torch.stack([*slope, *turns])


def _fitted(values: Tensor, moves: Tensor, number: Tensor) -> Tensor:
    """The mixture of moves nearest to ``values``; nothing beyond the last shell counts."""
    last = int(number.max())
    power = _per_shell(values.abs().square(), number) / torch.bincount(number, minlength=last + 1)
    weight = 1 / power.clamp(min=FAINTEST * float(power.max()) + 1e-300)
    weight[last] = 0.0
    weighted = moves * weight[number]
    normal = (weighted @ moves.conj().T).real
    scale = normal.diagonal().sqrt().clamp(min=1e-300)
    right = (weighted.conj() @ values).real / scale
    solved = torch.linalg.lstsq(normal / scale / scale[:, None] + 1e-9 * torch.eye(6).to(normal), right[:, None])[0]
    return (solved[:, 0] / scale).to(moves.dtype) @ moves


def _without(values: Tensor, others: list[Tensor], number: Tensor) -> Tensor:
    """``values`` less the best multiple per shell of each of ``others``, which are orthogonal to each other there."""
    for other in others:
        cross = _per_shell((values * other.conj()).real, number)
        power = _per_shell(other.abs().square(), number)
        share = torch.where(power > 1e-12 * power.max(), cross / power.clamp(min=1e-300), 0.0)
        values = values - share[number] * other
    return values


def _per_shell(values: Tensor, number: Tensor) -> Tensor:
    return torch.zeros(int(number.max()) + 1, dtype=values.dtype).index_add_(0, number, values)
