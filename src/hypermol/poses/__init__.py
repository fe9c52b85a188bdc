"""Estimators of the pose: one file each, all returning Hypotheses; and the searches that they share."""

from hypermol.poses.given import GivenPose, GivenPoseEstimator
from hypermol.poses.grid_search import Candidates, SearchLevels, order_for, search_poses, shift_grid, shift_step
from hypermol.poses.local_search import refine_poses
from hypermol.poses.scored import ScoredImages
from hypermol.poses.searched import SearchedPose, SearchedPoseEstimator

__all__ = [
    "Candidates",
    "GivenPose",
    "GivenPoseEstimator",
    "ScoredImages",
    "SearchLevels",
    "SearchedPose",
    "SearchedPoseEstimator",
    "order_for",
    "refine_poses",
    "search_poses",
    "shift_grid",
    "shift_step",
]
