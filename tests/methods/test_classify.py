"""Discrete classes: states found with their populations, none where there are none, and a run that can be used."""

import numpy as np
import pytest
import torch

from hypermol.engine import Processes, RunStore, State
from hypermol.errors import ConfigError
from hypermol.imaging import shift_phase, slice_coordinates
from hypermol.kernels import volumes_to_grid
from hypermol.kernels.slice_insert import slice_grid as reference_slice
from hypermol.landscape import landscape_of
from hypermol.maps import read_map, write_map
from hypermol.methods import Conduct, configured, find_method, rebuild, run_method, run_particles, train
from hypermol.methods.classify_merge import Merging
from hypermol.methods.classify_steps import Steps
from hypermol.methods.job import make_ready
from hypermol.methods.particle_images import Images
from hypermol.metrics import confusion, fsc, fsc_mean
from hypermol.particles import Preparation
from hypermol.simulation import Recipe, Truth, simulate
from hypermol.simulation.bound import state_posterior

SHARES = (0.7, 0.2, 0.1, 0, 0, 0, 0, 0, 0, 0)
SHORT = {"classes": 4, "restarts": 1, "component_passes": 6, "start_passes": 5, "passes": 7, "joint_passes": 2}


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    """Three states of 70, 20 and 10 % in 24 px, with images that leave some doubt."""
    folder = tmp_path_factory.mktemp("classify")
    simulate(Recipe(name="discrete10", n=1500, box=24, snr=0.05, seed=6, populations=SHARES), folder / "data")
    run = train(folder / "data" / "particles.star", configured(find_method("classify"), SHORT), folder / "run", seed=0)
    return run, Truth.load(folder / "data")


def test_finds_the_states_and_their_populations(uneven):
    run, truth = uneven
    estimates = run.estimates()
    assert estimates["class_probability"].shape == (1500, 3)
    found = confusion(estimates["class"], truth.state)
    best = confusion(state_posterior(truth).probability.argmax(1), truth.state)
    assert found.ari > best.ari - 0.05
    soft = estimates["class_probability"].mean(0)[found.matched]
    np.testing.assert_allclose(soft, SHARES[:3], atol=0.03)
    named = [run.metrics()[f"population_class-{c + 1}"]["value"] / 100 for c in found.matched]
    np.testing.assert_allclose(named, SHARES[:3], atol=0.03)


def test_each_map_is_nearest_to_its_own_state_and_halves_agree(uneven):
    run, truth = uneven
    found, mask = confusion(run.estimates()["class"], truth.state), truth.mask().float()
    states = [truth.map_of_state(state).float() for state in range(3)]
    for state in range(3):
        name = f"class-{found.matched[state] + 1}"
        ours = read_map(run.volumes / f"{name}.mrc")[0]
        scores = [float(fsc_mean(fsc(ours, other, mask))) for other in states]
        assert int(np.argmax(scores)) == state
        halves = [read_map(run.volumes / f"{name}-half{h}.mrc")[0] for h in (1, 2)]
        curve = fsc(*halves)
        assert curve[2] > 0.9
        np.testing.assert_allclose(run.curves()[f"fsc_{name}"], curve, atol=1e-3)


def test_z_stands_for_the_class_and_decodes_to_its_map(uneven):
    run, _ = uneven
    estimates, trained = run.estimates(), rebuild(run)
    z, covariance = estimates["z"], estimates["z_covariance"]
    assert z.shape == (1500, 2)
    np.testing.assert_allclose(z.mean(0), 0, atol=0.05)
    np.testing.assert_allclose(np.cov(z.T) + covariance.mean(0), np.eye(2), atol=0.1)
    for c in range(3):
        surest = int(estimates["class_probability"][:, c].argmax())
        assert estimates["class_probability"][surest, c] > 0.999
        expected = read_map(run.volumes / f"class-{c + 1}.mrc")[0]
        torch.testing.assert_close(trained.map_of(surest), expected, rtol=0, atol=0.02 * float(expected.abs().max()))
    landscape = landscape_of(run)
    assert landscape.z.shape == (1500, 2)


def test_says_no_classes_of_a_rigid_molecule(tmp_path):
    simulate(Recipe(name="homogeneous", n=1000, box=24, snr=0.1, seed=3), tmp_path / "data")
    run = train(tmp_path / "data" / "particles.star", configured(find_method("classify"), SHORT), tmp_path / "run")
    assert run.estimates()["class_probability"].shape == (1000, 1)
    assert "z" not in run.estimates()
    assert not rebuild(run).has_latent
    assert any("no classes found" in row.get("text", "") for row in run.log())


def test_as_many_classes_as_asked_for_when_nothing_is_chosen_and_a_focus_mask(uneven, tmp_path):
    _, truth = uneven
    mask = torch.zeros(24, 24, 24)
    mask[:, :, 12:] = 1
    write_map(tmp_path / "mask.mrc", mask, truth.pixel_size)
    settings = {**SHORT, "classes": 2, "choose": False, "restarts": 0, "mask": str(tmp_path / "mask.mrc")}
    run = train(truth.folder / "particles.star", configured(find_method("classify"), settings), tmp_path / "run")
    assert run.estimates()["class_probability"].shape == (1500, 2)
    first, second = (read_map(run.volumes / f"class-{c}.mrc")[0] for c in (1, 2))
    step = (first - second).abs()
    assert step[:, :, 12:].max() > 5 * step[:, :, :10].max()


def test_a_mask_of_another_box_is_refused(uneven, tmp_path):
    _, truth = uneven
    write_map(tmp_path / "mask.mrc", torch.ones(16, 16, 16), 1.0)
    method = configured(find_method("classify"), {**SHORT, "mask": str(tmp_path / "mask.mrc")})
    with pytest.raises(ConfigError, match="has a box of 16 px, expected the images' 24 px"):
        train(truth.folder / "particles.star", method, tmp_path / "run")


def test_responsibilities_are_those_of_brute_force(uneven):
    """Each image against each class's projection, pixel by pixel, with the contrast integrated on a grid; held-out
    maps, so that no particle's own part has to be taken out of them."""
    run, _ = uneven
    method = run_method(run)
    job = make_ready(run_particles(run), method, Preparation(), 0, Conduct(), Processes())
    state = RunStore(run).latest()
    steps = Steps(method, job.context)
    batch = job.source.load(torch.arange(12))
    images = Images.of(batch, 2)
    halves = State({n: t for n, t in state.tensors.items() if not n.startswith("joint")}, {}, state.data)
    found = steps.posterior(halves, images, 1 - images.half)
    own, variance = state.tensors, float(state.tensors["contrast_variance"])
    assert variance > 0
    contrast = torch.linspace(1 - 8 * variance**0.5, 1 + 8 * variance**0.5, 401, dtype=torch.float64)
    k, points = batch.lattice.k, slice_coordinates(batch.lattice.k, batch.rotation)
    shift = shift_phase(k, batch.shift / batch.pixel_size)
    for i in range(12):
        other = int(1 - batch.half[i])
        maps = (own["common"][other] + own["difference"][other]) * own["mask"]
        slices = reference_slice(volumes_to_grid(maps), points[i], batch.lattice.box)
        joint = []
        for c in range(3):
            clean = (slices[:, c] * shift[i] * batch.ctf[i, 0]).to(torch.complex128)
            scale = (batch.lattice.weight / batch.variance[i, 0]).double()
            residual = [(scale * (batch.images[i, 0] - a * clean).abs() ** 2).sum() for a in contrast]
            log_density = -torch.stack(residual) - (contrast - 1) ** 2 / (2 * variance)
            joint.append(torch.logsumexp(log_density, 0) + own["weights"][other, c].log())
        expected = torch.softmax(torch.stack(joint), 0)
        torch.testing.assert_close(found.probability[i], expected, rtol=0, atol=2e-3)


def test_a_class_that_nobody_is_in_is_left_out_in_the_end(uneven):
    run, _ = uneven
    method, state = run_method(run), RunStore(run).latest()
    job = make_ready(run_particles(run), method, Preparation(), 0, Conduct(), Processes())
    steps = Steps(method, job.context)
    state.tensors["joint_weights"] = torch.tensor([0.6, 1e-9, 0.4], dtype=torch.float64)
    left = steps.occupied(state)
    assert left.data["models"] == [2]
    assert left.data["emptied"] == 1
    batch = job.source.load(torch.arange(20))
    found = steps.estimate(left, batch, None).rows["class_probability"]
    assert found.shape == (20, 2)
    torch.testing.assert_close(found.sum(1), torch.ones(20))


def test_classes_that_differ_by_nothing_are_made_one(uneven):
    run, _ = uneven
    method, state = run_method(run), RunStore(run).latest()
    own = {name: tensor for name, tensor in state.tensors.items() if not name.startswith("joint")}
    own["difference"], own["weights"] = own["difference"][:, [0, 0, 1, 2]].clone(), own["weights"][:, [0, 0, 1, 2]]
    own["weights"] = own["weights"] * torch.tensor([0.5, 0.5, 1, 1])
    twice = State(own, {}, {**state.data, "models": [4], "settled": False, "merged": 0})
    job = make_ready(run_particles(run), method, Preparation(), 0, Conduct(), Processes())
    merging = Merging(method, job.context)
    for expected in (3, 3):
        totals = merging.pairs(twice, job.source.load(torch.arange(600)), None).totals
        twice = merging.merged(twice, totals)
        assert twice.data["models"] == [expected]
    assert twice.data["settled"]
    assert twice.data["merged"] == 1
    torch.testing.assert_close(twice.tensors["difference"], state.tensors["difference"])
