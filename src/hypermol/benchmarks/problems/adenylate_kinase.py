"""Adenylate kinase along its transition from closed to open: a small molecule with a large motion of two lids."""

from hypermol.benchmarks.molecules import adenylate_kinase
from hypermol.benchmarks.problem import Problem

EXTENT = 120.0

ADENYLATE_KINASE = Problem(
    name="adenylate-kinase",
    words="adenylate kinase from closed to open, continuous and uniform along 98 frames of a transition",
    source="hypermol's own; frames of a DIMS trajectory (test data of MDAnalysis)",
    recipe={},
    tiers={
        "tiny": {"n": 240, "box": 16, "pixel_size": EXTENT / 16, "snr": 2.0},
        "small": {"n": 2000, "box": 32, "pixel_size": EXTENT / 32, "snr": 0.3},
        "paper": {"n": 50_000, "box": 64, "pixel_size": EXTENT / 64, "snr": 0.05},
    },
    molecule=adenylate_kinase,
)
