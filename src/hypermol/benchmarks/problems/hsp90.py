"""Hsp90-like sets of Multi-CryoGAN (Gupta et al. 2020): bond angle continuous on 0-20°, or 0° for 25 % and 20° for
75 %. 32 px of 5 Å, SNR 0.1, no shifts, defocus 1.0-2.0 µm without astigmatism. Beyond the paper: the continuous one
with shifts of ±2 px, and seen more often from one side (density of viewing directions over even ones: 2.3 there, 0.3
opposite)."""

from hypermol.benchmarks.molecules import hsp90
from hypermol.benchmarks.problem import Problem

SOURCE = "Gupta, Phan, Yoo & Unser 2020, ECCV workshops, section 4.1"
COMMON = {"range_deg": (0.0, 20.0), "pixel_size": 5.0, "shift_px": 0.0, "defocus_um": (1.0, 2.0)}
TIERS = {
    "tiny": {"n": 240, "box": 32, "snr": 1.0},
    "small": {"n": 2000, "box": 32, "snr": 0.1},
    "paper": {"n": 100_000, "box": 32, "snr": 0.1},
}


def _problem(name: str, words: str, source: str = SOURCE, **recipe: object) -> Problem:
    return Problem(name, words, source, {**COMMON, **recipe}, TIERS, hsp90)


HSP90 = _problem("hsp90", "Hsp90 dimer opening by 0 to 20°, continuous and uniform")
HSP90_25_75 = _problem("hsp90-25-75", "Hsp90 dimer: 25 % closed, 75 % open by 20°", levels=2, populations=(0.25, 0.75))
HSP90_SHIFTED = _problem(
    "hsp90-shifted",
    "Hsp90 dimer opening by 0 to 20°, off centre by up to 2 px",
    SOURCE + "; shifts ours",
    shift_px=2.0,
)
HSP90_BIASED = _problem(
    "hsp90-biased",
    "Hsp90 dimer opening by 0 to 20°, views mildly crowded about one axis",
    SOURCE + "; views ours",
    view_concentration=1.0,
)
