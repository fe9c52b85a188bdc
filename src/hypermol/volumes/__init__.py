"""Families of shapes V(k, z): a parametrisation turns z into something that can be projected."""

from hypermol.volumes.base import Volume, coarse_map, half_ball
from hypermol.volumes.basis import BasisVolume, HarmonicBasis
from hypermol.volumes.conformation_basis import ConformationBasis
from hypermol.volumes.density import DensityVolume
from hypermol.volumes.expansion import Expansion
from hypermol.volumes.field import FieldVolume, FourierField
from hypermol.volumes.generator import GeneratedVolume, MapGenerator
from hypermol.volumes.positive_voxels import PositiveVoxels, PositiveVoxelVolume

__all__ = [
    "BasisVolume",
    "ConformationBasis",
    "DensityVolume",
    "Expansion",
    "FieldVolume",
    "FourierField",
    "GeneratedVolume",
    "HarmonicBasis",
    "MapGenerator",
    "PositiveVoxelVolume",
    "PositiveVoxels",
    "Volume",
    "coarse_map",
    "half_ball",
]
