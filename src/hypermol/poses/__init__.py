"""Estimators of the pose: one file each, all returning Hypotheses; and the searches that they share."""

from hypermol.poses.contrast import contrast_posterior, learned_variance
from hypermol.poses.defocus import DefocusSums, FoundDefocus, find_defocus
from hypermol.poses.drawn import DrawnPose, PosePrior
from hypermol.poses.given import GivenPose, GivenPoseEstimator
from hypermol.poses.grid_search import Candidates, SearchLevels, order_for, search_poses, shift_grid, shift_step
from hypermol.poses.local_search import Posed, refine_poses
from hypermol.poses.near_search import NearLevels, search_near
from hypermol.poses.scored import ScoredImages, climb_step, compare_slices
from hypermol.poses.searched import SearchedPose, SearchedPoseEstimator

__all__ = [
    "Candidates",
    "DefocusSums",
    "DrawnPose",
    "FoundDefocus",
    "GivenPose",
    "GivenPoseEstimator",
    "NearLevels",
    "PosePrior",
    "Posed",
    "ScoredImages",
    "SearchLevels",
    "SearchedPose",
    "SearchedPoseEstimator",
    "climb_step",
    "compare_slices",
    "contrast_posterior",
    "find_defocus",
    "learned_variance",
    "order_for",
    "refine_poses",
    "search_near",
    "search_poses",
    "shift_grid",
    "shift_step",
]
