"""Estimators of the pose: one file each, all returning Hypotheses; and the search that they share."""

from hypermol.poses.given import GivenPose, GivenPoseEstimator
from hypermol.poses.grid_search import Candidates, SearchLevels, search_poses
from hypermol.poses.scored import ScoredImages

__all__ = ["Candidates", "GivenPose", "GivenPoseEstimator", "ScoredImages", "SearchLevels", "search_poses"]
