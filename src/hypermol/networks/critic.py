"""A convolutional network that gives each image one number."""

from __future__ import annotations

import itertools

import torch.nn.functional as F
from torch import Tensor, nn

from hypermol.errors import ConfigError
from hypermol.shapes import Float

SMALLEST = 4
"""Pixels across which the last convolution leaves."""
LEAK = 0.1


class ImageCritic(nn.Module):
    """Images [n, D, D] → scores [n].

    Blocks of 3 × 3 convolution, 2 × 2 maximum and leaky ReLU until ``SMALLEST`` pixels are left, channels doubling from
    ``channels`` up to ``most``, then two full layers: the discriminator of CryoGAN (Gupta et al. 2021, IEEE Trans.
    Comput. Imaging 7:759). No layer mixes the images of a batch: the gradient penalty is of one image (Gulrajani et al.
    2017, section 4).
    """

    def __init__(self, box: int, channels: int, most: int, hidden: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs, outputs, size = 1, channels, box
        while size > SMALLEST:
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.MaxPool2d(2, ceil_mode=True), nn.LeakyReLU(LEAK)]
            inputs, outputs, size = outputs, min(2 * outputs, most), -(-size // 2)
        if not layers:
            raise ConfigError(f"critic: expected images of more than {SMALLEST} px, found {box}")
        self.features = nn.Sequential(*layers)
        self.hidden = nn.Linear(inputs * size * size, hidden)
        self.score = nn.Linear(hidden, 1)

    def forward(self, images: Float[Tensor, "n d d"]) -> Float[Tensor, " n"]:
        found = self.features(images[:, None]).flatten(1)
        return self.score(F.leaky_relu(self.hidden(found), LEAK))[:, 0]


class DenseCritic(nn.Module):
    """Images [n, D, D] → scores [n] by full layers of leaky ReLU, ``layers`` of ``width`` units: of small images the
    products of matrices take a tenth of the time of convolutions, and every unit sees the whole molecule."""

    def __init__(self, box: int, width: int, layers: int) -> None:
        super().__init__()
        sizes = (box * box, *(width,) * layers)
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in itertools.pairwise(sizes))
        self.score = nn.Linear(width, 1)

    def forward(self, images: Float[Tensor, "n d d"]) -> Float[Tensor, " n"]:
        found = images.flatten(1)
        for layer in self.layers:
            found = F.leaky_relu(layer(found), LEAK)
        return self.score(found)[:, 0]
