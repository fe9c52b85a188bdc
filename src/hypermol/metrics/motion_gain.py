"""The headline figure: the share of the motion, beyond the consensus, that a map at z shows."""

import torch
from torch import Tensor

from hypermol.shapes import Float


def motion_gain(found: Float[Tensor, "*b s"], consensus: Float[Tensor, "*b s"]) -> Float[Tensor, "*b"]:
    """(FSC - FSC_consensus) / (1 - FSC_consensus), averaged over shells 2 … D/4 - 1.

    Both curves are against a particle's own true map, in the same mask around the moving part; the consensus is the
    noise-free mean map. 0: nothing learned about motion; 1: the truth. Shells where the consensus is already the truth
    to 1e-6 are left out; NaN where none remain.
    """
    shells = found.shape[-1]
    used = slice(2, max(3, shells // 2))
    room = 1 - consensus[..., used]
    counts = (room > 1e-6).to(found.dtype)
    ratio = (found[..., used] - consensus[..., used]) / room.clamp(min=1e-6)
    return (ratio * counts).sum(-1) / torch.where(counts.sum(-1) > 0, counts.sum(-1), torch.nan)
