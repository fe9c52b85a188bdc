"""Arrays in, numbers out: FSC and resolution, conformation scores, gain, pose errors."""

from hypermol.metrics.conformations import DirectionScore, best_direction, circular_direction, r_squared, spearman
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

__all__ = [
    "DirectionScore",
    "best_direction",
    "circular_direction",
    "corrected_fsc",
    "fsc",
    "fsc_mean",
    "gain",
    "phase_randomised",
    "r_squared",
    "resolution",
    "shell_numbers",
    "spearman",
    "transform_fsc",
]
