"""Layers shared by encoders, decoders and critics."""

from hypermol.networks.critic import ImageCritic
from hypermol.networks.encodings import GaussianEncoding, GeometricEncoding
from hypermol.networks.mlp import Linear, ResidualMLP

__all__ = ["GaussianEncoding", "GeometricEncoding", "ImageCritic", "Linear", "ResidualMLP"]
