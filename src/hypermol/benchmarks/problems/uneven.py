"""What real sets have and simulated ones usually lack: preferred views, uneven contrast, junk with a rare state among
what is left (Toader et al. 2022, section 9). The molecule is the hinge."""

from hypermol.benchmarks.problem import Problem

SOURCE = "hypermol's own, after Toader et al. 2022, section 9"
TIERS = {
    "tiny": {"n": 240, "box": 16, "snr": 2.0, "shift_px": 1.0},
    "small": {"n": 2000, "box": 32, "snr": 0.5, "shift_px": 2.0},
    "paper": {"n": 50_000, "box": 64, "snr": 0.1},
}
POPULATIONS = (0.49, 0.02, 0.49)

PREFERRED_VIEWS = Problem(
    "preferred-views",
    "the hinge seen mostly along one axis: viewing directions von Mises-Fisher, κ = 4 (half within 34°)",
    SOURCE,
    {"name": "hinge", "view_concentration": 4.0},
    TIERS,
)
UNEVEN_CONTRAST = Problem(
    "uneven-contrast",
    "the hinge with a contrast of its own in each image, uniform from 0.5 to 1.5",
    SOURCE,
    {"name": "hinge", "contrast_range": (0.5, 1.5)},
    TIERS,
)
JUNK_AND_RARE = Problem(
    "junk-and-rare",
    "the hinge at -30°, 0° and 30° in shares of 49, 2 and 49 %, and 20 % junk: half empty, half broken",
    SOURCE,
    {"name": "hinge", "levels": 3, "populations": POPULATIONS, "junk": 0.2},
    {**TIERS, "tiny": {**TIERS["tiny"], "n": 600}},
)
