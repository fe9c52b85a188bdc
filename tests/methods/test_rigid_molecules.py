"""False alarms: of twenty rigid molecules the default method finds motion in one at most."""

from pathlib import Path

import pytest

from hypermol.methods import find_method, train
from hypermol.simulation import Recipe, simulate


@pytest.mark.slow
def test_a_rigid_molecule_has_no_motion_in_19_of_20_seeds(tmp_path: Path) -> None:
    alarms = []
    for seed in range(20):
        folder = tmp_path / str(seed)
        simulate(Recipe(name="homogeneous", n=1000, box=32, snr=0.1, seed=seed), folder / "data")
        run = train(folder / "data" / "particles.star", find_method("auto"), folder / "run", seed=seed)
        if "z" in run.estimates():
            alarms.append(seed)
    assert len(alarms) <= 1, alarms
