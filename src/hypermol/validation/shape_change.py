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

ROUNDS = 2


def shape_change(change: Float[Tensor, "q d d d"], map_: Float[Tensor, "d d d"]) -> Float[Tensor, "q d d d"]:
    """``change`` less what a rigid turn or shift of ``map_`` (first order), any radial filter of it, and any function
    of the distance from the centre explain.

    The pieces are fitted by least squares, every shell weighted by the inverse of the change's own power.
    """
    box = map_.shape[-1]
    number = shell_numbers(box).flatten().clamp(max=box // 2)
    whole = fft3(map_.double()).flatten()
    point = torch.ones_like(whole)
    moves = torch.stack([fft3(move).flatten() for move in _rigid_moves(map_.double())])
    kept = []
    for one in change.double():
        rest = fft3(one).flatten()
        for _ in range(ROUNDS):
            rest = rest - _fitted(rest, moves, number, box)
            rest = rest - _filtered(rest, whole, number, box)
            rest = rest - _filtered(rest, point, number, box)
        kept.append(ifft3(rest.reshape(box, box, box)).real)
    return torch.stack(kept).to(change)


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


def _fitted(values: Tensor, moves: Tensor, number: Tensor, box: int) -> Tensor:
    power = _per_shell(values.abs().square(), number, box) / torch.bincount(number, minlength=box // 2 + 1)
    weight = 1 / power.clamp(min=1e-12 * float(power.max()) + 1e-300)
    weight[box // 2] = 0.0
    weighted = moves * weight[number]
    normal = (weighted @ moves.conj().T).real
    scale = normal.diagonal().sqrt().clamp(min=1e-300)
    right = (weighted.conj() @ values).real / scale
    solved = torch.linalg.lstsq(normal / scale / scale[:, None] + 1e-9 * torch.eye(6).to(normal), right[:, None])[0]
    return (solved[:, 0] / scale).to(moves.dtype) @ moves


def _filtered(values: Tensor, whole: Tensor, number: Tensor, box: int) -> Tensor:
    cross = _per_shell((values * whole.conj()).real, number, box)
    power = _per_shell(whole.abs().square(), number, box)
    return (cross / power.clamp(min=1e-300))[number] * whole


def _per_shell(values: Tensor, number: Tensor, box: int) -> Tensor:
    return torch.zeros(box // 2 + 1, dtype=values.dtype).index_add_(0, number, values)
