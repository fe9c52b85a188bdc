"""Residual multilayer perceptrons, as cryoDRGN uses for encoder and decoder."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Linear(nn.Module):
    """x Wᵀ + b, optionally with identity skip (x + x Wᵀ + b) and ReLU.

    The skip is folded into the matrix, (W + 1), so that it costs nothing per pixel.
    """

    def __init__(self, inputs: int, outputs: int, skip: bool = False, relu: bool = True) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound))
        self.skip, self.relu = skip, relu

    @torch.no_grad()
    def scale_(self, factor: float) -> None:
        """Shrink the initial output: weights times ``factor``, no bias."""
        self.weight.mul_(factor)
        self.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        weight: Tensor = self.weight
        if self.skip:
            weight = weight + torch.eye(len(weight), dtype=weight.dtype, device=weight.device)
        y = F.linear(x, weight, self.bias)
        return F.relu(y, inplace=True) if self.relu else y


class ResidualMLP(nn.Module):
    """inputs → hidden (ReLU) → layers × residual hidden (ReLU) → outputs (linear).

    With ``context`` > 0 a second input of that size enters the first layer, broadcast over the rows that share it:
    W [x, c] is computed as W_x x + W_c c, so that c is multiplied once and not once per row.
    """

    def __init__(self, inputs: int, hidden: int, layers: int, outputs: int, context: int = 0) -> None:
        super().__init__()
        self.first = Linear(inputs, hidden, relu=False)
        self.context = nn.Linear(context, hidden, bias=False) if context else None
        self.body = nn.Sequential(*(Linear(hidden, hidden, skip=True) for _ in range(layers)))
        self.last = Linear(hidden, outputs, relu=False)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """x [*b, n, inputs], context [*b, context] → [*b, n, outputs]."""
        # rows are flat between layers: a ReLU in place on a view would cost autograd a copy each way
        rows = self.first(x.reshape(-1, x.shape[-1]))
        if self.context is not None and context is not None:
            joined = rows.view(*x.shape[:-1], rows.shape[-1]) + self.context(context).unsqueeze(-2)
            rows = F.relu(joined, inplace=True).flatten(0, -2)
        else:
            rows = F.relu(rows, inplace=True)
        found = self.last(self.body(rows))
        return found.view(*x.shape[:-1], found.shape[-1])
