"""The hinge: three chains of which the middle one turns by ±30°, continuous and uniform."""

from hypermol.benchmarks.problem import Problem
from hypermol.simulation import MOTIONS

HINGE = Problem(
    name="hinge",
    words=MOTIONS["hinge"],
    source="hypermol's own: 10,000 × 64 px at 3 Å, SNR 0.1",
    recipe={"name": "hinge"},
    tiers={
        "tiny": {"n": 240, "box": 16, "snr": 2.0, "shift_px": 1.0},
        "small": {"n": 2000, "box": 32, "snr": 0.5, "shift_px": 2.0},
        "paper": {"n": 10_000, "box": 64, "snr": 0.1},
    },
)
