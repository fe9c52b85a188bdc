"""Families of shapes V(k, z): a parametrisation turns z into something that can be projected."""

from hypermol.volumes.base import Volume, coarse_map, half_ball
from hypermol.volumes.field import FieldVolume, FourierField

__all__ = ["FieldVolume", "FourierField", "Volume", "coarse_map", "half_ball"]
