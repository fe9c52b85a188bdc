"""Method ``covariance``: the true subspace and eigenvalues of a hinge, nothing of a rigid molecule, no random start."""

import numpy as np
import pytest
import torch

from hypermol.engine import Loop, MemoryStore, Processes, Program, Step
from hypermol.errors import ConfigError
from hypermol.maps import read_map
from hypermol.methods import Conduct, configured, find_method, rebuild, train
from hypermol.methods.job import make_ready
from hypermol.methods.ppca_steps import Steps
from hypermol.metrics import best_direction, fsc, fsc_mean
from hypermol.particles import Preparation, read_particles
from hypermol.simulation import Recipe, Truth, simulate

QUICK = {"columns": 24, "subspace": 12}


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    folder = tmp_path_factory.mktemp("covariance")
    simulate(Recipe(name="hinge", n=1500, box=32, snr=0.5, seed=6), folder / "data")
    return train(
        folder / "data" / "particles.star", configured(find_method("covariance"), QUICK), folder / "run"
    ), folder / "data"


def components_of(run) -> torch.Tensor:
    count = run.estimates()["z"].shape[1]
    return torch.stack([read_map(run.volumes / f"component-{c + 1}.mrc")[0] for c in range(count)]).flatten(1).double()


def test_components_are_those_of_the_true_maps(moving):
    """The oracle: principal components of the exact maps at 150 of the particles' conformations."""
    run, data = moving
    truth, found = Truth.load(data), components_of(run)
    maps = torch.stack([truth.map(i) for i in range(0, 1500, 10)]).flatten(1).double()
    mean = maps.mean(0)
    _, values, axes = torch.linalg.svd(maps - mean, full_matrices=False)
    consensus = read_map(run.volumes / "consensus.mrc")[0].flatten().double()
    scale = float(consensus @ mean / (mean @ mean))
    assert 2 <= len(found) <= 4
    basis = torch.linalg.qr(found.T)[0]
    assert (axes[0] @ basis).norm() ** 2 > 0.85
    assert (axes[1] @ basis).norm() ** 2 > 0.65
    expected, variance = scale**2 * values.square() / len(maps), found.square().sum(1)
    for k, lowest in enumerate((0.75, 0.6)):
        assert lowest < float(variance[k] / expected[k]) < 1.1


def test_components_are_orthogonal_ordered_and_stated(moving):
    run, _ = moving
    overlap = components_of(run) @ components_of(run).T
    assert (overlap.diagonal().diff() <= 0).all()
    assert (overlap - torch.diag(overlap.diagonal())).abs().max() < 1e-4 * overlap.max()
    stated = [run.metrics()[f"variance_component-{c + 1}"]["value"] for c in range(len(overlap))]
    np.testing.assert_allclose(stated, overlap.diagonal().numpy(), rtol=1e-3)
    mask = read_map(run.volumes / "mask.mrc")[0].flatten()
    outside = components_of(run)[:, mask == 0]
    assert outside.square().sum() < 0.02 * overlap.diagonal().sum()  # filtering spills a little over the edge


def test_z_is_the_hinge_angle_and_its_posterior_has_unit_variance(moving):
    run, data = moving
    truth, estimates, trained = Truth.load(data), run.estimates(), rebuild(run)
    z = estimates["z"]
    assert best_direction(z, truth.conformation[:, 0], truth.half == 0).spearman > 0.93
    spread = np.cov(z.T).reshape(z.shape[1], -1) + estimates["z_covariance"].mean(0)
    np.testing.assert_allclose(spread, np.eye(z.shape[1]), atol=0.1)
    mask, mean = truth.mask().float(), truth.mean_map().float()
    for particle in (int(truth.conformation[:, 0].argmin()), int(truth.conformation[:, 0].argmax())):
        exact = truth.map(particle).float()
        at_z, consensus = (fsc_mean(fsc(m.float(), exact, mask)) for m in (trained.map_of(particle), mean))
        assert at_z > consensus


def test_no_start_is_drawn(moving, tmp_path):
    """The seed enters through the phase-randomised FSC of the mean alone."""
    run, data = moving
    again = train(data / "particles.star", configured(find_method("covariance"), QUICK), tmp_path / "run", seed=11)
    np.testing.assert_allclose(again.estimates()["z"], run.estimates()["z"], atol=2e-3)


def test_says_no_motion_of_a_rigid_molecule_whose_contrast_varies(tmp_path):
    simulate(Recipe(name="homogeneous", n=1000, box=32, snr=0.5, seed=1, contrast_range=(0.7, 1.3)), tmp_path / "data")
    run = train(tmp_path / "data" / "particles.star", configured(find_method("covariance"), QUICK), tmp_path / "run")
    assert "z" not in run.estimates()
    assert any("no motion found" in row.get("text", "") for row in run.log())
    assert 0.05 < run.estimates()["contrast"].std() < 0.2


def test_components_asked_for_are_kept_within_a_coarser_band(moving, tmp_path):
    _, data = moving
    settings = {"z_dim": 3, "choose": False, "columns": 10, "subspace": 6, "finest": 9, "mask": "sphere"}
    run = train(data / "particles.star", configured(find_method("covariance"), settings), tmp_path / "run")
    assert run.estimates()["z"].shape == (1500, 3)
    power = torch.fft.rfftn(components_of(run).view(-1, 32, 32, 32)[0]).abs().square()
    assert power[:, :, 13:].sum() < 0.01 * power.sum()


def test_a_subspace_that_columns_cannot_span_is_refused(moving, tmp_path):
    _, data = moving
    method = configured(find_method("covariance"), {"columns": 2, "subspace": 6})
    with pytest.raises(ConfigError, match="2 columns span at most 4 dimensions"):
        train(data / "particles.star", method, tmp_path / "run")


def test_its_components_are_a_start_for_expectation_maximisation(moving):
    """The state that ``components`` leaves is that of ``ppca``: two passes from it explain unseen images no worse."""
    _, data = moving
    ppca, method = find_method("ppca"), configured(find_method("covariance"), {**QUICK, "z_dim": 2})
    job = make_ready(read_particles(data / "particles.star"), method, Preparation(), 0, Conduct(), Processes())
    steps = Steps(configured(ppca, {"z_dim": 2}), job.context)
    gains = []
    for passes in (0, 2):
        em = (method._phase("em", Step(steps.fit_halves, steps.halves_maps)),) * passes
        held_out = method._phase("held out", Step(steps.held_out, steps.confirmed))
        program = Program(job.program.initialise, (*method.components(job.context), *em, held_out))
        state = Loop(program, job.source, MemoryStore(), seed=0, microbatch=500).run()
        gains.append(sum(mean for mean, _ in state.data["held_out"]))
    assert gains[0] > 10
    assert gains[1] > gains[0] - 0.5
