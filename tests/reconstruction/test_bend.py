"""What z² adds to one component: a swing is told from two states, whose density along it looks alike."""

import numpy as np
import pytest

from hypermol.landscape import BENT_ENERGY, landscape_of
from hypermol.methods import configured, find_method, train
from hypermol.reconstruction import CURVED
from hypermol.report import report_run
from hypermol.simulation import Recipe, simulate

SEEDS = [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)]


def one_component(recipe, folder, method="auto"):
    simulate(recipe, folder / "data")
    settings = {"z_dim": "1"}
    return train(folder / "data" / "particles.star", configured(find_method(method), settings), folder / "run")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("method", ["auto", "covariance"])
def test_a_swing_is_a_curve(tmp_path, seed, method):
    """Its angle is uniform, and a component along it crowds at both ends."""
    run = one_component(Recipe(name="linear1d", n=1500, box=24, snr=0.2, seed=seed), tmp_path, method)
    assert run.metrics()["bend"]["value"] > CURVED
    assert "class_probability" not in run.estimates()
    landscape = landscape_of(run)
    assert landscape.density.count < 2
    assert BENT_ENERGY in landscape.notes


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.8, 0.2)])
def test_two_states_are_none(tmp_path, seed, shares):
    """Neither are they where contrasts differ, which z² could stand for."""
    populations = (*shares, *[0.0] * 8)
    recipe = Recipe(
        "discrete10", n=1500, box=24, snr=0.2, seed=seed, populations=populations, contrast_range=(0.7, 1.3)
    )
    run = one_component(recipe, tmp_path)
    assert abs(run.metrics()["bend"]["value"]) < CURVED
    probability = run.estimates()["class_probability"]
    np.testing.assert_allclose(sorted(probability.mean(0)), sorted(shares), atol=0.03)
    assert landscape_of(run).density.count == 2


def test_the_report_says_that_basins_of_a_curve_are_no_states(tmp_path):
    run = one_component(Recipe(name="linear1d", n=1500, box=24, snr=0.5, seed=3), tmp_path)
    from hypermol.landscape import save_landscape

    save_landscape(landscape_of(run), run.landscape)
    page = report_run(run).read_text()
    assert page.count(BENT_ENERGY) == 2  # beside the landscape and above the free energy
    assert "They form one continuum" in page


def test_more_components_are_not_asked(tmp_path):
    simulate(Recipe(name="linear1d", n=1500, box=24, snr=0.5, seed=3), tmp_path / "data")
    run = train(tmp_path / "data" / "particles.star", find_method("auto"), tmp_path / "run")
    assert run.estimates()["z"].shape[1] > 1
    assert "bend" not in run.metrics()
