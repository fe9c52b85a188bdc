"""Layers shared by encoders, decoders and critics."""

from hypermol.networks.convolution import (
    ConvolutionalFeatures,
    ReferenceNorm,
    normalised_perceptron,
    perceptron,
    poolings,
    references_once,
    shrink_output_,
    spread_outputs_,
)
from hypermol.networks.critic import DenseCritic, ImageCritic
from hypermol.networks.encodings import GaussianEncoding, GeometricEncoding
from hypermol.networks.filter_bank import GaussianFilters
from hypermol.networks.mlp import Linear, ResidualMLP
from hypermol.networks.sine import SineNetwork

__all__ = [
    "ConvolutionalFeatures",
    "DenseCritic",
    "GaussianEncoding",
    "GaussianFilters",
    "GeometricEncoding",
    "ImageCritic",
    "Linear",
    "ReferenceNorm",
    "ResidualMLP",
    "SineNetwork",
    "normalised_perceptron",
    "perceptron",
    "poolings",
    "references_once",
    "shrink_output_",
    "spread_outputs_",
]
