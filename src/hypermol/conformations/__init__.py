"""Estimators of z: one file each, all returning Hypotheses."""

from hypermol.conformations.classes import ClassPosterior, class_evidence, class_posterior
from hypermol.conformations.empirical import EmpiricalPrior, learned_posteriors
from hypermol.conformations.encoder import VariationalEncoder, VariationalEncoderNetwork
from hypermol.conformations.gaussian import GaussianPosterior, gaussian_posterior, truncated
from hypermol.conformations.known import KnownConformation, KnownConformationEstimator
from hypermol.conformations.none import NoConformation
from hypermol.conformations.table import LatentTable, LatentTableEstimator

__all__ = [
    "ClassPosterior",
    "GaussianPosterior",
    "KnownConformation",
    "KnownConformationEstimator",
    "LatentTable",
    "LatentTableEstimator",
    "NoConformation",
    "VariationalEncoder",
    "VariationalEncoderNetwork",
    "class_evidence",
    "class_posterior",
    "gaussian_posterior",
    "learned_posteriors",
    "truncated",
]
