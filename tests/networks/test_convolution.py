"""Layers of convolutional encoders: how far images are reduced, what the filter bank does, an even start."""

import math

import pytest
import torch
from scipy.ndimage import gaussian_filter

from hypermol.errors import ConfigError
from hypermol.imaging import Lattice, images_to_packed, packed_to_images
from hypermol.networks import (
    ConvolutionalFeatures,
    GaussianFilters,
    ReferenceNorm,
    perceptron,
    poolings,
    references_once,
    spread_outputs_,
)


@pytest.mark.parametrize(("box", "side"), [(128, 4), (256, 8), (64, 4), (32, 4), (20, 5), (16, 4), (8, 4)])
def test_reduced_32_fold_but_to_no_less_than_four_pixels(box: int, side: int) -> None:
    layers = ConvolutionalFeatures(box, 2, 4, 1)
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in layers.layers) == 7
    assert layers.size == 16 * side * side
    assert layers(torch.randn(3, 2, box, box)).shape == (3, layers.size)


def test_boxes_that_are_too_small_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 8 px"):
        poolings(6)


@pytest.mark.parametrize("shape", [(5,), (5, 4, 4)])
def test_normalised_by_the_reference_alone(shape: tuple[int, ...]) -> None:
    """torch's batch normalisation of the reference; other rows neither change it nor each other."""
    x = 3 + 2 * torch.randn(9, *shape, generator=torch.Generator().manual_seed(0))
    norm = ReferenceNorm(5, 6)
    batch_norm = torch.nn.BatchNorm1d(5) if len(shape) == 1 else torch.nn.BatchNorm2d(5)
    found = norm(x)
    torch.testing.assert_close(found[:6], batch_norm(x[:6]))
    torch.testing.assert_close(norm(torch.cat([x[:6], x[7:]]))[6:], found[7:])


def test_references_are_told_once() -> None:
    layers = ConvolutionalFeatures(16, 2, 4, 6)
    images = torch.randn(20, 2, 16, 16, generator=torch.Generator().manual_seed(1))
    wanted = layers(images)
    with references_once(layers):
        found = [layers(part) for part in images.split([6, 9, 5])]
    torch.testing.assert_close(torch.cat(found), wanted)
    torch.testing.assert_close(layers(images), wanted)  # and forgotten afterwards


def test_filters_are_gaussians_in_real_space() -> None:
    box = 32
    lattice = Lattice.disc(box)
    image = torch.zeros(box, box)
    image[16, 16] = 1.0
    packed = images_to_packed(image, lattice)
    bank = GaussianFilters(3, box, torch.ones(box // 2))
    seen = packed_to_images(bank(packed, lattice.k) / bank.scale[:, None], lattice)
    torch.testing.assert_close(seen[0], packed_to_images(packed, lattice))
    for index, variance in ((2, 2.0), (3, 4.0)):
        wanted = torch.from_numpy(gaussian_filter(image.numpy(), math.sqrt(variance), mode="wrap", truncate=8))
        torch.testing.assert_close(seen[index], wanted, atol=2e-3 * float(wanted.max()), rtol=0)


def test_filtered_images_have_a_root_mean_square_of_one() -> None:
    box, draw = 32, torch.Generator().manual_seed(0)
    lattice, spectrum = Lattice.disc(box), 1 + 20 * torch.exp(-torch.arange(16.0))
    noise = torch.randn(400, lattice.size, dtype=torch.complex64, generator=draw) * spectrum[lattice.shell].sqrt()
    seen = packed_to_images(GaussianFilters(4, box, spectrum)(noise, lattice.k), lattice)
    torch.testing.assert_close(seen.square().mean((0, 2, 3)).sqrt(), torch.ones(5), atol=0.1, rtol=0)


def test_outputs_of_an_even_start_have_no_mean_and_no_preferred_direction() -> None:
    draw = torch.Generator().manual_seed(0)
    head, features = perceptron(8, 32, 6), 5 + torch.randn(300, 8, generator=draw)
    spread_outputs_(head, features)
    outputs = head(features).detach()
    torch.testing.assert_close(outputs.mean(0), torch.zeros(6), atol=1e-3, rtol=0)
    torch.testing.assert_close(torch.cov(outputs.T), torch.eye(6), atol=2e-3, rtol=0)
