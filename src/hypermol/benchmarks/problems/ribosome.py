"""Ribosome-like sets of cryoFIRE (Levy et al. 2022): two volumes 90/10, and K = 2, 3, 10 along a turn of the small
subunit. Box extent 483 Å, as 128 px of 3.77 Å; SNR 0.1 (-10 dB); log-normal defocus."""

from hypermol.benchmarks.molecules import ribosome
from hypermol.benchmarks.problem import Problem

SOURCE = "Levy, Wetzstein, Martel, Poitevin & Zhong 2022, NeurIPS, section 4; 6ZU5 in place of their maps"
EXTENT = 483.0
TURN = (0.0, 10.0)


def _problem(name: str, words: str, images: int, **recipe: object) -> Problem:
    def size(n: int, box: int, snr: float) -> dict[str, object]:
        return {"n": n, "box": box, "pixel_size": EXTENT / box, "snr": snr}

    common = {"range_deg": TURN, "defocus": "log-normal", **recipe}
    tiers = {"tiny": size(240, 16, 2.0), "small": size(2000, 32, 0.2), "paper": size(images, 128, 0.1)}
    return Problem(name, words, SOURCE, common, tiers, ribosome)


RIBOSOME_90_10 = _problem(
    "ribosome-90-10",
    "80S ribosome: 90 % with the small subunit at 0°, 10 % turned by 10°",
    50_000,
    levels=2,
    populations=(0.9, 0.1),
)
RIBOSOME_K2, RIBOSOME_K3, RIBOSOME_K10 = (
    _problem(
        f"ribosome-k{count}",
        f"80S ribosome: {count} equal states along a turn of the small subunit by 10°",
        100_000,
        levels=count,
    )
    for count in (2, 3, 10)
)
