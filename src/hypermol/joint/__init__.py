"""Estimators that answer for pose and conformation together."""

from hypermol.joint.linear import LinearImages

__all__ = ["LinearImages"]
