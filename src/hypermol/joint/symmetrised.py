"""The symmetrised loss as a wrapper: copies of an image are encoded and mapped back, the best of them counts.

An encoder alone is drawn into a minimum where the map has a plane of symmetry that the molecule has not: it cannot tell
a view from its opposite, and a small change does not lead from one to the other. With a copy turned by π it needs to be
right about one of the two (Levy et al. 2022, cryoAI; cryoFIRE eq. 6).
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import torch
from torch import Tensor, nn

from hypermol.imaging import HALF_TURN, QUARTER_TURN, REFLECTION, in_space, moved_images
from hypermol.posteriors import Hypotheses

Copies = Literal["one", "half-turn", "quarter-turns"]
Matrix = tuple[tuple[int, int], tuple[int, int]]
STAY: Matrix = ((1, 0), (0, 1))


def copies_of(turns: Copies, mirrored: bool) -> tuple[Matrix, ...]:
    """How the copies of an image are moved, the image itself first; reflected copies of each where ``mirrored``."""
    third = _product(HALF_TURN, QUARTER_TURN)
    own = {
        "one": (STAY,),
        "half-turn": (STAY, HALF_TURN),
        "quarter-turns": (STAY, QUARTER_TURN, HALF_TURN, third),
    }[turns]
    return (*own, *(_product(REFLECTION, move) for move in own)) if mirrored else own


class Symmetrised(nn.Module):
    """A hypothesis for each copy of an image, mapped back to the image itself.

    encoder: has ``seen(batch)`` and ``infer(images [B, H, P], batch, draws, rows)``. A copy whose content was moved by
    M shows the molecule at diag(M, 1) R and M t, so R ← diag(M, 1)ᵀ R', t ← Mᵀ t'; for a half turn R_z(π) R' and -t'. A
    reflected copy is no projection of the same molecule but of its mirror image, J V with J = diag(1, 1, -1):
    R ← diag(M, 1)ᵀ R' J, which is a rotation, and right where V = J V, as at the minimum that is to be left. The
    images compared, and their CTF, are never turned: hypotheses are of the image itself.
    """

    def __init__(self, encoder: Any, moves: tuple[Matrix, ...]) -> None:
        super().__init__()
        self.encoder, self.moves = encoder, moves

    def forward(self, batch: Any, draws: Any, rows: dict[str, Tensor]) -> Hypotheses:
        """The encoder's answers, copy by copy: H = the number of copies times that of its heads."""
        seen = self.encoder.seen(batch)
        copies = [seen if move == STAY else moved_images(seen, batch.lattice, move) for move in self.moves]
        found = self.encoder.infer(torch.stack(copies, 1), batch, draws, rows)
        heads, like = found.rotation.shape[1] // len(self.moves), found.rotation  # answers of each copy in turn
        back = torch.stack([in_space(move, like=like).T for move in self.moves]).repeat_interleave(heads, 0)
        hand = torch.stack([in_space(STAY, _determinant(move), like) for move in self.moves])
        hand = hand.repeat_interleave(heads, 0)
        shift = (back[:, :2, :2] @ found.shift.unsqueeze(-1)).squeeze(-1)
        return dataclasses.replace(found, rotation=back @ found.rotation @ hand, shift=shift)


def _determinant(move: Matrix) -> int:
    return move[0][0] * move[1][1] - move[0][1] * move[1][0]


def _product(first: Matrix, second: Matrix) -> Matrix:
    (a, b), (c, d) = first
    (e, f), (g, h) = second
    return (a * e + b * g, a * f + b * h), (c * e + d * g, c * f + d * h)
