"""IgG-1D-like, as CryoBench makes it (Jeon et al. 2024): 100 conformations of one dihedral, SNR 0.01."""

from hypermol.benchmarks.molecules import antibody
from hypermol.benchmarks.problem import Problem

EXTENT = 384.0  # Å: 128 px of 3 Å

IGG_1D = Problem(
    name="igg-1d",
    words="IgG: one Fab turned through 360° about its hinge, 100 conformations at equal steps",
    source="Jeon et al. 2024 (CryoBench), IgG-1D; here the CTF of a 300 kV microscope, defocus 1.0-2.5 µm",
    recipe={"levels": 100, "range_deg": (0.0, 360.0)},
    tiers={
        "tiny": {"n": 240, "box": 16, "pixel_size": EXTENT / 16, "snr": 2.0, "levels": 12},
        "small": {"n": 2000, "box": 32, "pixel_size": EXTENT / 32, "snr": 0.1},
        "paper": {"n": 100_000, "box": 128, "pixel_size": EXTENT / 128, "snr": 0.01},
    },
    molecule=antibody,
)
