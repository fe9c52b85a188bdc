"""Networks of sines (SIREN; Sitzmann et al. 2020, NeurIPS)."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from hypermol.shapes import Float


class SineNetwork(nn.Module):
    """inputs → hidden → layers × hidden → outputs; sin(ω x) after all but the last (linear) layer.

    Weights begin uniform within ±1/inputs in the first layer and ±√(6/hidden)/ω in the others (their §3.2), which gives
    every layer the same distribution of arguments.
    """

    def __init__(self, inputs: int, hidden: int, layers: int, outputs: int, frequency: float = 30.0) -> None:
        super().__init__()
        self.frequency = frequency
        sizes = [inputs, *(hidden,) * (layers + 1), outputs]
        sines = [nn.Linear(before, after) for before, after in itertools.pairwise(sizes)]
        self.layers = nn.ModuleList(sines)
        with torch.no_grad():
            for place, layer in enumerate(sines):
                size = layer.in_features
                bound = 1 / size if place == 0 else math.sqrt(6 / size) / frequency
                layer.weight.uniform_(-bound, bound)

    def forward(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b o"]:
        for layer in self.layers[:-1]:
            x = torch.sin(self.frequency * layer(x))
        return self.layers[-1](x)
