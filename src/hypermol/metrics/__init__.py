"""Arrays in, numbers out: FSC and resolution, gain, what z knows, pose errors, classes, landscapes, populations."""

from hypermol.metrics.area import cryobench_area, cryobench_curve, curve_area
from hypermol.metrics.atomic import (
    backbone_dihedrals,
    backbone_rows,
    contact_map_distance,
    dihedral_distance,
    rmsd,
)
from hypermol.metrics.chains import effective_sample_size, split_rhat
from hypermol.metrics.classes import ClassScores, confusion
from hypermol.metrics.conformational_resolution import ConformationalResolution, conformational_resolution
from hypermol.metrics.conformations import (
    DirectionScore,
    along_direction,
    best_direction,
    circular_direction,
    circular_spearman,
    first_component,
    r_squared,
    spearman,
    state_accuracy,
)
from hypermol.metrics.coverage import coverage
from hypermol.metrics.distributions import (
    LandscapeDistance,
    QuantileAgreement,
    landscape_agreement,
    landscape_distance,
    leading_coordinate,
    quantile_agreement,
    relative_across,
    relative_within,
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
from hypermol.metrics.fsc_confidence import FscInterval, fsc_interval, resampled_fsc
from hypermol.metrics.fsccc import MatrixDistance, fsccc, fsccc_distance, shares_of_ends
from hypermol.metrics.gain import gain
from hypermol.metrics.gromov import GromovWasserstein, gromov_wasserstein
from hypermol.metrics.imbalance import (
    Imbalance,
    imbalance_of_distances,
    information_imbalance,
    nuisance_imbalance,
)
from hypermol.metrics.local_resolution import local_fsc, local_resolution
from hypermol.metrics.mutual_information import MutualInformation, mutual_information
from hypermol.metrics.neighbours import NeighbourScore, neighbourhood_similarity, shared_neighbours
from hypermol.metrics.per_particle import StateScores, equal_steps, particle_curves, per_conformation
from hypermol.metrics.physical import cross_distances, map_distances, same_scale
from hypermol.metrics.plane_symmetry import plane_symmetry
from hypermol.metrics.populations import (
    PopulationScores,
    best_populations,
    fitted_populations,
    population_error,
    population_scores,
)
from hypermol.metrics.pose_scores import PoseScores, pose_scores
from hypermol.metrics.poses import ErrorSummary, PoseErrors, align_poses, nearest_equivalents, pose_errors, summarise
from hypermol.metrics.real_space import map_correlation
from hypermol.metrics.shell_products import mixed_fsc, pairwise_fsc, shell_products
from hypermol.metrics.sliced import sliced_wasserstein
from hypermol.metrics.spaces import (
    circle_points,
    defocus_points,
    direction_points,
    pose_points,
    state_points,
    whitened,
)
from hypermol.metrics.transport import Transport, transport, wasserstein, wasserstein_1d

__all__ = [
    "ClassScores",
    "ConformationalResolution",
    "DirectionScore",
    "ErrorSummary",
    "FscInterval",
    "GromovWasserstein",
    "Imbalance",
    "LandscapeDistance",
    "MatrixDistance",
    "MutualInformation",
    "NeighbourScore",
    "PopulationScores",
    "PoseErrors",
    "PoseScores",
    "QuantileAgreement",
    "StateScores",
    "Transport",
    "align_poses",
    "backbone_dihedrals",
    "backbone_rows",
    "best_direction",
    "best_populations",
    "circle_points",
    "circular_direction",
    "circular_spearman",
    "conformational_resolution",
    "confusion",
    "contact_map_distance",
    "corrected_fsc",
    "coverage",
    "cross_distances",
    "cryobench_area",
    "cryobench_curve",
    "curve_area",
    "defocus_points",
    "dihedral_distance",
    "direction_points",
    "effective_sample_size",
    "equal_steps",
    "first_component",
    "fitted_populations",
    "fsc",
    "fsc_interval",
    "fsc_mean",
    "fsccc",
    "fsccc_distance",
    "gain",
    "gromov_wasserstein",
    "imbalance_of_distances",
    "information_imbalance",
    "landscape_agreement",
    "landscape_distance",
    "leading_coordinate",
    "local_fsc",
    "local_resolution",
    "map_correlation",
    "map_distances",
    "mixed_fsc",
    "mutual_information",
    "nearest_equivalents",
    "neighbourhood_similarity",
    "nuisance_imbalance",
    "pairwise_fsc",
    "particle_curves",
    "per_conformation",
    "phase_randomised",
    "plane_symmetry",
    "population_error",
    "population_scores",
    "pose_errors",
    "pose_points",
    "pose_scores",
    "quantile_agreement",
    "r_squared",
    "relative_across",
    "relative_within",
    "resampled_fsc",
    "resolution",
    "rmsd",
    "same_scale",
    "shared_neighbours",
    "shell_numbers",
    "shell_products",
    "sliced_wasserstein",
    "spearman",
    "split_rhat",
    "state_accuracy",
    "state_points",
    "summarise",
    "transform_fsc",
    "transport",
    "wasserstein",
    "wasserstein_1d",
    "whitened",
]
