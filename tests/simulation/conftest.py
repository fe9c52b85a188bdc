"""Small simulated data sets, made once per worker."""

import pytest

from hypermol.simulation import Recipe, Truth, simulate


@pytest.fixture(scope="session")
def hinge_folder(tmp_path_factory):
    """60 particles of the hinged molecule, 32 px, SNR 0.5."""
    out = tmp_path_factory.mktemp("sets") / "hinge"
    return simulate(Recipe.named("hinge", n=60, box=32, snr=0.5, shift_px=2.0, seed=3), out)


@pytest.fixture(scope="session")
def hinge_truth(hinge_folder):
    return Truth.load(hinge_folder)
