"""Convolutional encoders of images, after the first layers of VGG16 (Simonyan & Zisserman 2014)."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from hypermol.errors import ConfigError
from hypermol.shapes import Float

CONVOLUTIONS = 7
POOLED_AFTER = (1, 3, 4, 5, 6)
"""Convolutions after which the map is halved, as many of them as the box allows: all five from 128 px on."""
SMALLEST = 4
"""Pixels that remain at least along each axis."""
GROUP = 8


class ConvolutionalFeatures(nn.Module):
    """Seven 3×3 convolutions, channels doubled twice (c, c, 2c, 2c, 4c, 4c, 4c), averaged 2×2 in between.

    Images of 128 px or more are reduced 32 times, smaller ones as often as at least 4×4 pixels remain. Groups of eight
    channels are normalised per image (Wu & He 2018): nothing to remember from batch to batch, so that a resumed
    run, one on several processes and an unseen image see the same network. ``size``: features of an image.
    """

    def __init__(self, box: int, inputs: int, channels: int) -> None:
        super().__init__()
        halvings, layers, before, side = poolings(box), list[nn.Module](), inputs, box
        for index in range(CONVOLUTIONS):
            after = channels * (1, 1, 2, 2, 4, 4, 4)[index]
            layers += [
                nn.Conv2d(before, after, 3, padding=1, bias=False),
                nn.GroupNorm(math.gcd(after, max(1, after // GROUP)), after),
                nn.ReLU(inplace=True),
            ]
            if index in POOLED_AFTER[:halvings]:
                layers.append(nn.AvgPool2d(2))
                side //= 2
            before = after
        self.layers = nn.Sequential(*layers)
        self.size = before * side * side

    def forward(self, images: Float[Tensor, "n c d d"]) -> Float[Tensor, "n f"]:
        return self.layers(images).flatten(1)


def poolings(box: int) -> int:
    """How often maps of a box are halved. Raises ConfigError for a box below 8 px."""
    if box < 2 * SMALLEST:
        raise ConfigError(f"a convolutional encoder needs images of at least {2 * SMALLEST} px, found {box} px")
    return min(len(POOLED_AFTER), int(math.log2(box / SMALLEST)))


def perceptron(sizes: tuple[int, ...], last_relu: bool = False) -> nn.Sequential:
    """Linear layers from size to size with ReLU between them, and after the last where asked."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU(inplace=True)]
    return nn.Sequential(*(layers if last_relu else layers[:-1]))


@torch.no_grad()
def shrink_output_(head: nn.Sequential, factor: float) -> None:
    """Multiply the weights of the last layer by ``factor`` and drop its bias."""
    last: nn.Linear = head[-1]  # type: ignore[assignment]
    last.weight.mul_(factor)
    last.bias.zero_()


@torch.no_grad()
def spread_outputs_(head: nn.Sequential, features: Float[Tensor, "n f"], scale: float = 1.0) -> None:
    """Change the last layer so that its outputs over some features have mean 0 and covariance ``scale``² I.

    An untrained network answers nearly the same for every image, since its biases outweigh what differs.
    """
    last: nn.Linear = head[-1]  # type: ignore[assignment]
    outputs = head[:-1](features).double() @ last.weight.double().T
    mean, centred = outputs.mean(0), outputs - outputs.mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / max(1, len(outputs) - 1))
    whiten = scale * (vectors * values.clamp(min=1e-12 * float(values.max()) + 1e-30).rsqrt()) @ vectors.T
    last.weight.copy_(whiten @ last.weight.double())
    last.bias.copy_(-whiten @ mean)
