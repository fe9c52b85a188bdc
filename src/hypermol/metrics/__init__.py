"""Arrays in, numbers out: FSC and resolution, conformation scores, gain, pose errors."""

from hypermol.metrics.area import cryobench_area, cryobench_curve, curve_area
from hypermol.metrics.atomic import (
    backbone_dihedrals,
    backbone_rows,
    contact_map_distance,
    dihedral_distance,
    rmsd,
)
from hypermol.metrics.classes import ClassScores, confusion
from hypermol.metrics.conformations import (
    DirectionScore,
    best_direction,
    circular_direction,
    circular_spearman,
    r_squared,
    spearman,
    state_accuracy,
)
from hypermol.metrics.fsc import (
    corrected_fsc,
    fsc,
    fsc_mean,
    phase_randomised,
    resolution,
    shell_numbers,
    transform_fsc,
)
from hypermol.metrics.fsccc import MatrixDistance, fsccc, fsccc_distance
from hypermol.metrics.gain import gain
from hypermol.metrics.per_particle import StateScores, equal_steps, particle_curves, per_conformation
from hypermol.metrics.pose_scores import PoseScores, pose_scores
from hypermol.metrics.poses import ErrorSummary, PoseErrors, align_poses, pose_errors, summarise
from hypermol.metrics.real_space import map_correlation
from hypermol.metrics.shell_products import pairwise_fsc, shell_products

__all__ = [
    "ClassScores",
    "DirectionScore",
    "ErrorSummary",
    "MatrixDistance",
    "PoseErrors",
    "PoseScores",
    "StateScores",
    "align_poses",
    "backbone_dihedrals",
    "backbone_rows",
    "best_direction",
    "circular_direction",
    "circular_spearman",
    "confusion",
    "contact_map_distance",
    "corrected_fsc",
    "cryobench_area",
    "cryobench_curve",
    "curve_area",
    "dihedral_distance",
    "equal_steps",
    "fsc",
    "fsc_mean",
    "fsccc",
    "fsccc_distance",
    "gain",
    "map_correlation",
    "pairwise_fsc",
    "particle_curves",
    "per_conformation",
    "phase_randomised",
    "pose_errors",
    "pose_scores",
    "r_squared",
    "resolution",
    "rmsd",
    "shell_numbers",
    "shell_products",
    "spearman",
    "state_accuracy",
    "summarise",
    "transform_fsc",
]
