"""Families of shapes V(k, z): a parametrisation turns z into something that can be projected."""

from hypermol.volumes.base import Volume, coarse_map, half_ball
from hypermol.volumes.basis import BasisVolume, HarmonicBasis
from hypermol.volumes.conformation_basis import ConformationBasis
from hypermol.volumes.expansion import Expansion
from hypermol.volumes.field import FieldVolume, FourierField

__all__ = [
    "BasisVolume",
    "ConformationBasis",
    "Expansion",
    "FieldVolume",
    "FourierField",
    "HarmonicBasis",
    "Volume",
    "coarse_map",
    "half_ball",
]
