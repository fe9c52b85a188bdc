"""Convolutional encoders of images, after the first layers of VGG16 (Simonyan & Zisserman 2014)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from hypermol.errors import ConfigError
from hypermol.shapes import Float

CONVOLUTIONS = 7
POOLED_AFTER = (1, 3, 4, 5, 6)
"""Convolutions after which the map is halved, as many of them as the box allows: all five from 128 px on."""
SMALLEST = 4
"""Pixels that remain at least along each axis."""


class ReferenceNorm(nn.Module):
    """Batch normalisation by a batch that stays the same (Salimans et al. 2016, §3.4): the first ``count`` rows of the
    input, whose mean and variance per channel normalise all rows.

    An image's features then depend on no other image of its batch: microbatches, processes, a resumed run and an unseen
    image see one network. Unlike normalisation within an image it removes what all images share, without which the
    encoder did not learn at all (pose by regression on 4,000 × 16 px: squared error 5.9 of 6 after 400 steps, 2.7 with
    it after 300).
    """

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        self.count = count
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.keeps, self.kept = False, None

    kept: tuple[Tensor, Tensor] | None
    """Factor and offset of the first batch within ``references_once``."""

    def forward(self, x: Float[Tensor, "n c *d"]) -> Float[Tensor, "n c *d"]:
        factor, offset = self.kept or self._of(x[: self.count])
        if self.keeps:
            self.kept = factor, offset
        shape = (-1, *(1,) * (x.ndim - 2))
        return torch.addcmul(offset.view(shape), x, factor.view(shape))

    def _of(self, references: Tensor) -> tuple[Tensor, Tensor]:
        variance, mean = torch.var_mean(references, (0, *range(2, references.ndim)), correction=0)
        factor = self.weight * (variance + 1e-5).rsqrt()
        return factor, self.bias - mean * factor


@contextmanager
def references_once(*networks: nn.Module) -> Iterator[None]:
    """Within, only the first batch holds the references; what they normalise by is kept for those that follow."""
    norms = [part for network in networks for part in network.modules() if isinstance(part, ReferenceNorm)]
    for norm in norms:
        norm.keeps = True
    try:
        yield
    finally:
        for norm in norms:
            norm.keeps, norm.kept = False, None


class ConvolutionalFeatures(nn.Module):
    """Seven 3×3 convolutions, channels doubled twice (c, c, 2c, 2c, 4c, 4c, 4c), averaged 2×2 in between.

    Images of 128 px or more are reduced 32 times, smaller ones as often as at least 4×4 pixels remain. ``references``:
    the first images of every batch, by which all are normalised. ``size``: features of an image.
    """

    def __init__(self, box: int, inputs: int, channels: int, references: int) -> None:
        super().__init__()
        halvings, layers, before, side = poolings(box), list[nn.Module](), inputs, box
        for index in range(CONVOLUTIONS):
            after = channels * (1, 1, 2, 2, 4, 4, 4)[index]
            convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
            layers += [convolution, ReferenceNorm(after, references), nn.ReLU(inplace=True)]
            if index in POOLED_AFTER[:halvings]:
                layers.append(nn.AvgPool2d(2))
                side //= 2
            before = after
        self.layers, self.channels = nn.Sequential(*layers), channels
        self.size = before * side * side

    def forward(self, images: Float[Tensor, "n c d d"]) -> Float[Tensor, "n f"]:
        images = images.contiguous(memory_format=torch.channels_last)  # half the time of a processor
        return self.layers(images).flatten(1)


def poolings(box: int) -> int:
    """How often maps of a box are halved. Raises ConfigError for a box below 8 px."""
    if box < 2 * SMALLEST:
        raise ConfigError(f"a convolutional encoder needs images of at least {2 * SMALLEST} px, found {box} px")
    return min(len(POOLED_AFTER), int(math.log2(box / SMALLEST)))


def perceptron(*sizes: int) -> nn.Sequential:
    """Linear layers from size to size with ReLU between them."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers[:-1])


def normalised_perceptron(references: int, *sizes: int) -> nn.Sequential:
    """Linear layers from size to size, each normalised by the first ``references`` rows and followed by ReLU."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        linear = nn.Linear(before, after, bias=False)
        layers += [linear, ReferenceNorm(after, references), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


@torch.no_grad()
def shrink_output_(head: nn.Sequential, factor: float) -> None:
    """Multiply the weights of the last layer by ``factor`` and drop its bias."""
    last: nn.Linear = head[-1]  # type: ignore[assignment]
    last.weight.mul_(factor)
    last.bias.zero_()


@torch.no_grad()
def spread_outputs_(head: nn.Sequential, features: Float[Tensor, "n f"], scale: float = 1.0) -> None:
    """Change the last layer so that its outputs over some features have mean 0 and covariance ``scale``² I.

    An untrained network answers much the same for every image, since its biases outweigh what differs.
    """
    last: nn.Linear = head[-1]  # type: ignore[assignment]
    outputs = head[:-1](features).double() @ last.weight.double().T
    mean, centred = outputs.mean(0), outputs - outputs.mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / max(1, len(outputs) - 1))
    whiten = scale * (vectors * values.clamp(min=1e-3 * float(values.max()) + 1e-30).rsqrt()) @ vectors.T
    last.weight.copy_(whiten @ last.weight.double())
    last.bias.copy_(-whiten @ mean)
