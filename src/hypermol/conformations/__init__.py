"""Estimators of z: one file each, all returning Hypotheses.

A spec says in ``z_from`` where z comes from: "encoder" (the images, also of particles never seen; also where it says
nothing), "table" (a row per particle, moved by gradient), "file" (told, not inferred), "prior" (drawn, and no
particle's) or "nothing" (there is no z).
"""

from hypermol.conformations.classes import ClassPosterior, class_evidence, class_posterior
from hypermol.conformations.drawn import ConformationPrior, DrawnConformation
from hypermol.conformations.empirical import STATES_BETWEEN, EmpiricalPrior, crossed_means, learned_posteriors
from hypermol.conformations.encoder import VariationalEncoder, VariationalEncoderNetwork
from hypermol.conformations.gaussian import GaussianPosterior, gaussian_posterior, truncated
from hypermol.conformations.groups import SEPARATE, density_groups
from hypermol.conformations.known import KnownConformation, KnownConformationEstimator
from hypermol.conformations.none import NoConformation
from hypermol.conformations.table import LatentTable, LatentTableEstimator
from hypermol.conformations.with_pose import WithPose

__all__ = [
    "SEPARATE",
    "STATES_BETWEEN",
    "ClassPosterior",
    "ConformationPrior",
    "DrawnConformation",
    "GaussianPosterior",
    "KnownConformation",
    "KnownConformationEstimator",
    "LatentTable",
    "LatentTableEstimator",
    "NoConformation",
    "VariationalEncoder",
    "VariationalEncoderNetwork",
    "WithPose",
    "class_evidence",
    "class_posterior",
    "crossed_means",
    "density_groups",
    "gaussian_posterior",
    "learned_posteriors",
    "truncated",
]
