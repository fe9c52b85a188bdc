"""The five simulated data sets of cryoDRGN (Zhong et al. 2020), with noise and CTF in the smaller tiers, which the
paper's heterogeneous sets lack."""

from typing import Any

from hypermol.benchmarks.problem import Problem
from hypermol.simulation import MOTIONS, PAPER

SOURCE = "Zhong, Bepler, Davis & Berger 2020, ICLR, appendices B and C; a pseudo-protein in place of theirs"
TINY = {"n": 240, "box": 16, "snr": 2.0, "shift_px": 1.0, "ctf": True}
SMALL = {"n": 2000, "box": 32, "snr": 0.5, "shift_px": 2.0, "ctf": True}


def _problem(name: str, **tiny: object) -> Problem:
    tiers: dict[str, dict[str, Any]] = {"tiny": {**TINY, **tiny}, "small": SMALL, "paper": PAPER[name]}
    return Problem(name, MOTIONS[name], SOURCE, {"name": name}, tiers)


HOMOGENEOUS = _problem("homogeneous")
LINEAR1D = _problem("linear1d", levels=10)
LINEAR2D = _problem("linear2d", levels=10)
CIRCULAR1D = _problem("circular1d", levels=12)
DISCRETE10 = _problem("discrete10")
