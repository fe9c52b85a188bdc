"""Estimators of the pose: one file each, all returning Hypotheses."""

from hypermol.poses.given import GivenPose, GivenPoseEstimator

__all__ = ["GivenPose", "GivenPoseEstimator"]
