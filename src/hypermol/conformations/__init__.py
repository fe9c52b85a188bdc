"""Estimators of z: one file each, all returning Hypotheses."""

from hypermol.conformations.encoder import VariationalEncoder, VariationalEncoderNetwork
from hypermol.conformations.none import NoConformation
from hypermol.conformations.table import LatentTable, LatentTableEstimator

__all__ = ["LatentTable", "LatentTableEstimator", "NoConformation", "VariationalEncoder", "VariationalEncoderNetwork"]
