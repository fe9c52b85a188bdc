"""The contracts that any new volume must pass: inherit one and give a constructor; usable by outsiders."""

from hypermol.testing.volumes import VolumeContract, small_context

__all__ = ["VolumeContract", "small_context"]
