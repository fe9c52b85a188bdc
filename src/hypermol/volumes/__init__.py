"""Families of shapes V(k, z): a parametrisation turns z into something that can be projected."""

from hypermol.volumes.base import Volume, coarse_map, half_ball
from hypermol.volumes.basis import BasisVolume, HarmonicBasis
from hypermol.volumes.conformation_basis import ConformationBasis
from hypermol.volumes.density import DensityVolume
from hypermol.volumes.expansion import Expansion
from hypermol.volumes.field import FieldVolume, FourierField
from hypermol.volumes.fourier_net import FourierNet, FourierNetVolume
from hypermol.volumes.generator import GeneratedVolume, MapGenerator
from hypermol.volumes.positive_voxels import PositiveVoxels, PositiveVoxelVolume
from hypermol.volumes.voxel_modes import ModeVolume, VoxelModes
from hypermol.volumes.voxels import VoxelGrid, VoxelVolume

__all__ = [
    "BasisVolume",
    "ConformationBasis",
    "DensityVolume",
    "Expansion",
    "FieldVolume",
    "FourierField",
    "FourierNet",
    "FourierNetVolume",
    "GeneratedVolume",
    "HarmonicBasis",
    "MapGenerator",
    "ModeVolume",
    "PositiveVoxelVolume",
    "PositiveVoxels",
    "Volume",
    "VoxelGrid",
    "VoxelModes",
    "VoxelVolume",
    "coarse_map",
    "half_ball",
]
