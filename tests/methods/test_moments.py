"""A map without any pose, from the moments of simulated images."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from hypermol.errors import ConfigError, DataError
from hypermol.imaging.so3_grid import directions
from hypermol.maps import align_maps, read_map
from hypermol.methods import configured, find_method, rebuild, train
from hypermol.metrics import fsc
from hypermol.simulation import Recipe, Truth, simulate
from hypermol.testing import small_context

AXES = ((0.0, 0.0, 1.0), (1.0, 0.3, 0.2), (0.2, -1.0, 0.5))
SMALL = {"starts": 1, "shells": 3, "degree": 3, "iterations": 40}


def simulated(folder, n, box, snr, seed=11, **more):
    simulate(Recipe.named("homogeneous", n=n, box=box, snr=snr, shift_px=0.0, seed=seed, **more), folder)
    return Truth.load(folder)


def curve(run, truth):
    """FSC with the true map, aligned."""
    exact = truth.map(0).float()
    return fsc(align_maps(read_map(run.volumes / "consensus.mrc")[0], exact).aligned, exact)


def test_a_map_and_its_views_from_noisy_images(tmp_path):
    truth = simulated(tmp_path, 1000, 16, 0.5, view_concentration=3.0, view_axes=AXES)
    run = train(tmp_path / "particles.star", configured(find_method("moments"), SMALL), tmp_path / "run")
    assert float(curve(run, truth)[1:4].min()) > 0.5
    assert run.metrics()["misfit"]["value"] < 5
    assert not (run.path / "estimates.npz").exists()
    views = run.curves()["view_density"]
    assert views.shape == (192, 4)
    assert views[:, 3].mean() == pytest.approx(1.0, abs=1e-2)
    assert views[:, 3].max() > 1.5  # of the truth: 2.6
    torch.testing.assert_close(rebuild(run, "cpu").decode(None)[0], read_map(run.volumes / "consensus.mrc")[0])


def test_second_moments_refuse_views_that_look_uniform(tmp_path):
    """Nothing in the settings says so: the images do."""
    simulated(tmp_path, 600, 16, math.inf, ctf=False)
    method = configured(find_method("moments"), {**SMALL, "order": 2})
    with pytest.raises(DataError, match="opposite views are equally frequent"):
        train(tmp_path / "particles.star", method, tmp_path / "run")


def test_what_cannot_be_is_refused(tmp_path):
    method = find_method("moments")
    with pytest.raises(ConfigError, match="an orthogonal matrix of each degree open"):
        configured(method, {"order": 2, "views": "uniform"})
    with pytest.raises(ConfigError, match="shells = 9: images of 16 px have up to 7"):
        configured(method, {"shells": 9}).program(small_context())
    with pytest.raises(ConfigError, match=r"expected estimate, uniform or a \.npy file"):
        configured(method, {"views": str(tmp_path / "absent.npy")})
    for table, words in (
        (np.ones((4, 3)), "rows of x, y, z and a weight"),
        (-np.ones((4, 4)), "a weight of 0 or more"),
        (np.array([[0.0, 0, 0, 1]]), "a row has no direction"),
    ):
        np.save(tmp_path / "views.npy", table)
        with pytest.raises(ConfigError, match=words):
            configured(method, {"views": str(tmp_path / "views.npy")})


def test_a_reference_takes_the_place_of_random_starts():
    """`abinitio` goes on from a map as `refine` does."""
    context = dataclasses.replace(small_context(), consensus=None)
    begun = configured(find_method("abinitio"), {"reference": "start.mrc"}).program(context)
    refined = configured(find_method("refine"), {"reference": "start.mrc"}).program(context)
    assert [phase.name for phase in begun.phases] == [phase.name for phase in refined.phases]
    assert find_method("abinitio").program(context).phases[0].name == "start 1 of 3, random"


@pytest.mark.slow
@pytest.mark.parametrize("views", ["known", "estimate"])
def test_five_shells_from_noiseless_images(tmp_path, views):
    truth = simulated(tmp_path, 10_000, 32, math.inf, ctf=False, view_concentration=3.0, view_axes=AXES)
    where = directions(4).double().numpy()
    density = Recipe.from_toml(tmp_path / "simulation.toml").view_density.density(where)
    np.save(tmp_path / "views.npy", np.concatenate([where, density[:, None]], 1))
    given = {"starts": 1, "views": str(tmp_path / "views.npy") if views == "known" else views}
    run = train(tmp_path / "particles.star", configured(find_method("moments"), given), tmp_path / "run")
    assert float(curve(run, truth)[1:6].min()) > 0.8
