"""The default method: separate states are found with their populations and mapped from their own images; a continuum
is left whole."""

import numpy as np
import pytest
import torch

from hypermol.landscape import landscape_of
from hypermol.methods import find_method, rebuild, train
from hypermol.metrics import confusion, fsc, fsc_mean
from hypermol.reconstruction import sizes_within
from hypermol.simulation import Recipe, Truth, simulate

SHARES = (0.7, 0.2, 0.1, 0, 0, 0, 0, 0, 0, 0)


@pytest.fixture(
    scope="module", params=[0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)]
)
def uneven(request, tmp_path_factory):
    """Three states of 70, 20 and 10 %."""
    folder = tmp_path_factory.mktemp("auto")
    simulate(
        Recipe(name="discrete10", n=1500, box=24, snr=0.1, seed=request.param, populations=SHARES), folder / "data"
    )
    return train(folder / "data" / "particles.star", find_method("auto"), folder / "run"), Truth.load(folder / "data")


def test_states_and_their_populations_are_found(uneven):
    run, truth = uneven
    probability = run.estimates()["class_probability"]
    assert probability.shape == (1500, 3)
    found = confusion(probability.argmax(1), truth.state)
    assert found.error < 0.03
    np.testing.assert_allclose(probability.mean(0)[found.matched], SHARES[:3], atol=0.03)
    assert landscape_of(run).density.count == 3


def test_the_map_of_a_state_is_made_from_its_own_images(uneven):
    """Nearest to its own state, and closer to it than the mean map is."""
    run, truth = uneven
    trained, mask = rebuild(run), truth.mask().float()
    particle = int(np.flatnonzero(truth.state == 2)[0])
    true, mean = truth.map_of_state(2).float(), truth.mean_map().float()
    found = trained.map_of(particle)
    closest = [float(fsc_mean(fsc(found, truth.map_of_state(s).float(), mask))) for s in range(3)]
    assert int(np.argmax(closest)) == 2
    assert closest[2] > float(fsc_mean(fsc(mean, true, mask)))


def test_a_continuum_is_left_whole(tmp_path):
    simulate(Recipe(name="hinge", n=1500, box=24, snr=0.1, seed=3), tmp_path / "data")
    run = train(tmp_path / "data" / "particles.star", find_method("auto"), tmp_path / "run")
    assert "z" in run.estimates()
    assert "class_probability" not in run.estimates()


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_a_large_swing_is_left_whole(tmp_path, seed):
    """Two components along an arc, the second one faint: what all particles show is lumpy by chance (seed 1 was once
    said to be two states of 82 and 18 %)."""
    simulate(Recipe(name="linear1d", n=1500, box=32, snr=0.5, seed=seed), tmp_path / "data")
    run = train(tmp_path / "data" / "particles.star", find_method("auto"), tmp_path / "run")
    assert run.estimates()["z"].shape[1] == 2
    assert "class_probability" not in run.estimates()
    assert not landscape_of(run).density.separate


def groups_of(place):
    """Of particles at these places, seen with an error of half their spread: z under what the other half shows."""
    from hypermol.conformations import crossed_means, density_groups

    noise, generator = 0.5, torch.Generator().manual_seed(5)
    seen = place / place.std() + noise * torch.randn(len(place), generator=generator, dtype=torch.float64)
    mean, variance = seen / (1 + noise**2), noise**2 / (1 + noise**2)
    return density_groups(crossed_means(mean[:, None], torch.full((len(place), 1, 1), variance).double()).numpy())


def test_lumps_that_all_particles_show_by_chance_are_no_groups():
    label = groups_of(torch.rand(1500, generator=torch.Generator().manual_seed(6), dtype=torch.float64))
    assert label.max() < 1


def test_two_places_are_two_groups_however_blurred():
    state = torch.arange(1500) % 2
    label = groups_of(state.double())
    assert set(np.unique(label)) - {-1} == {0, 1}
    assert max(np.mean(label == state.numpy()), np.mean(label == 1 - state.numpy())) > 0.95


def test_neighbourhoods_of_a_state_end_with_it():
    assert sizes_within(200, 2000) == (200, 2000)
    assert sizes_within(900, 2000) == (300, 600, 900, 2000)
    assert sizes_within(700, 2000) == (300, 700, 2000)


def test_probabilities_of_states_are_those_of_a_known_mixture():
    """Two states in one dimension, seen with an error: Bayes' rule by hand."""
    from hypermol.conformations import learned_posteriors

    generator = torch.Generator().manual_seed(0)
    state = (torch.rand(4000, generator=generator) < 0.3).long()
    place, noise = torch.tensor([-1.0, 1.0], dtype=torch.float64), 0.45
    seen = place[state] + noise * torch.randn(4000, generator=generator, dtype=torch.float64)
    mean, variance = seen / (1 + noise**2), noise**2 / (1 + noise**2)
    rows = learned_posteriors(mean[:, None], torch.full((4000, 1, 1), variance).double(), states=True)
    odds = torch.exp(-((seen[:, None] - place) ** 2) / (2 * noise**2)) * torch.tensor([0.7, 0.3])
    expected = odds / odds.sum(1, keepdim=True)
    found = rows["class_probability"]
    order = [int(found[state == s].mean(0).argmax()) for s in range(2)]
    assert float((found[:, order] - expected).abs().mean()) < 0.01
    assert float(found.mean(0)[order[1]]) == pytest.approx(0.3, abs=0.02)
