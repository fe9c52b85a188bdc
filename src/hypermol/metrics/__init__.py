"""Arrays in, numbers out: FSC and resolution, conformation scores, gain, pose errors."""

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
from hypermol.metrics.gain import gain
from hypermol.metrics.pose_scores import PoseScores, pose_scores
from hypermol.metrics.poses import ErrorSummary, PoseErrors, align_poses, pose_errors, summarise

__all__ = [
    "DirectionScore",
    "ErrorSummary",
    "PoseErrors",
    "PoseScores",
    "align_poses",
    "best_direction",
    "circular_direction",
    "circular_spearman",
    "corrected_fsc",
    "fsc",
    "fsc_mean",
    "gain",
    "phase_randomised",
    "pose_errors",
    "pose_scores",
    "r_squared",
    "resolution",
    "shell_numbers",
    "spearman",
    "state_accuracy",
    "summarise",
    "transform_fsc",
]
