"""What makes a set uneven: populations, preferred views, contrast, junk, models along a transition; and how well a pose
can be known."""

import dataclasses

import numpy as np
import pytest
import torch

from hypermol.errors import ConfigError, DataError
from hypermol.imaging.rotations import rotvec_to_matrix
from hypermol.imaging.so3_grid import directions
from hypermol.particles import StackReader
from hypermol.simulation import (
    Atoms,
    Recipe,
    Transition,
    Truth,
    build_molecule,
    hinge_atoms,
    pose_bound,
    project_gaussians,
    read_frames,
    simulate,
    state_posterior,
    write_atoms,
)
from hypermol.simulation.draws import draw


def drawn(n=2000, **settings):
    recipe = Recipe.named(settings.pop("name", "hinge"), n=n, box=16, seed=7, **settings)
    molecule = build_molecule(recipe)
    return draw(recipe, molecule.motion, molecule.pixel_size)


def pixels_of(folder):
    reader = StackReader(folder / "particles.mrcs")
    return reader.read(np.arange(reader.shape[0]))


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    """Three states of the hinge, one rare; a quarter junk; contrast from half to three halves."""
    recipe = Recipe.named(
        "hinge",
        n=80,
        box=16,
        snr=1.0,
        seed=4,
        levels=3,
        populations=(0.5, 0.4, 0.1),
        junk=0.25,
        contrast_range=(0.5, 1.5),
    )
    return Truth.load(simulate(recipe, tmp_path_factory.mktemp("uneven") / "data"))


def test_states_are_filled_to_their_shares():
    assert np.bincount(drawn(levels=2, populations=(0.9, 0.1)).state).tolist() == [1800, 200]
    assert np.bincount(drawn(n=7, levels=3, populations=(0.5, 0.3, 0.2)).state).tolist() == [4, 2, 1]
    shares = (0.02, *(0.98 / 9 for _ in range(9)))
    assert np.bincount(drawn(name="discrete10", populations=shares).state)[0] == 40


def test_preferred_views_follow_von_mises_and_fisher():
    """The mean of the viewing direction is coth κ - 1/κ along the axis, and its azimuth is uniform."""
    kappa = 3.0
    view = drawn(n=20_000, view_concentration=kappa).rotation[:, 2]
    np.testing.assert_allclose(view.mean(0), [0, 0, 1 / np.tanh(kappa) - 1 / kappa], atol=0.012)
    assert abs(np.exp(1j * np.arctan2(view[:, 1], view[:, 0])).mean()) < 0.02
    determinants = np.linalg.det(drawn(n=50, view_concentration=kappa).rotation)
    np.testing.assert_allclose(determinants, 1.0, atol=1e-9)


def test_views_about_several_axes():
    """Their mean is the mean of the axes × coth κ - 1/κ; cells of the sphere hold what the density says."""
    kappa, axes = 4.0, ((0.0, 0.0, 2.0), (3.0, 0.0, 0.0), (0.0, -1.0, 0.0))
    recipe = Recipe.named("hinge", n=30_000, view_concentration=kappa, view_axes=axes)
    view = drawn(n=30_000, view_concentration=kappa, view_axes=axes).rotation[:, 2]
    along = 1 / np.tanh(kappa) - 1 / kappa
    np.testing.assert_allclose(view.mean(0), [along / 3, -along / 3, along / 3], atol=0.012)
    grid = directions(3).double().numpy()
    density = recipe.view_density.density(grid)
    assert density.mean() == pytest.approx(1.0, abs=1e-3)
    for side in np.array([[1.0, 1, 1], [1, -1, 1], [-1, 0.2, 0]]):
        share = (view @ side > 0).mean()
        assert density[grid @ side > 0].sum() / density.sum() == pytest.approx(share, abs=0.02)


def test_other_draws_stay_as_they_were():
    plain, uneven = drawn(), drawn(junk=0.3, contrast_range=(0.5, 1.5), view_concentration=2.0)
    np.testing.assert_array_equal(plain.shift, uneven.shift)
    np.testing.assert_array_equal(plain.half, uneven.half)
    kept = uneven.junk == 0
    np.testing.assert_array_equal(plain.conformation[kept], uneven.conformation[kept])
    assert plain.contrast.tolist() == [1.0] * 2000


def test_junk_is_counted_and_has_no_conformation(uneven):
    assert np.bincount(uneven.junk).tolist() == [60, 10, 10]
    assert np.isnan(uneven.conformation[uneven.junk > 0]).all()
    assert (uneven.state[uneven.junk > 0] == -1).all()
    assert len(uneven.intact) == 60
    with pytest.raises(ConfigError, match="is junk"):
        uneven.map(int(np.flatnonzero(uneven.junk)[0]))
    assert torch.isfinite(uneven.mean_map()).all()


def test_contrast_and_junk_are_in_the_images(uneven):
    """Intact images less contrast times their projection are white noise; empty ones are noise as they are."""
    motion, rows = uneven.motion, np.arange(uneven.count)
    points = np.nan_to_num(motion.points(uneven.conformation, uneven.state))
    positions, weights = motion.atoms(points)
    transfer = uneven.camera.transfer(uneven.ctf)
    clean = project_gaussians(positions, weights, *uneven.image_poses(rows), uneven.camera, transfer).numpy()
    residual = pixels_of(uneven.folder) - uneven.scale * uneven.contrast[:, None, None] * clean
    assert residual[uneven.junk == 0].var() == pytest.approx(1.0, abs=0.04)
    assert pixels_of(uneven.folder)[uneven.junk == 1].var() == pytest.approx(1.0, abs=0.1)
    assert residual[uneven.junk == 2].var() > 1.2
    signal = uneven.scale * uneven.contrast[:, None, None] * clean
    assert signal[uneven.junk == 0].var() == pytest.approx(1.0, rel=1e-3)  # SNR 1 over the intact particles


def test_the_posterior_of_the_state_weighs_the_populations(uneven):
    posterior = state_posterior(uneven)
    np.testing.assert_allclose(posterior.prior, [0.5, 0.4, 0.1])
    right = posterior.probability.argmax(1) == uneven.state[uneven.intact]
    assert right.mean() > 0.8
    flat = dataclasses.replace(posterior, log_likelihood=np.zeros_like(posterior.log_likelihood))
    np.testing.assert_allclose(flat.probability[0], [0.5, 0.4, 0.1])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"populations": (0.5, 0.5)}, "a continuum"),
        ({"levels": 3, "populations": (0.5, 0.5)}, "3 states"),
        ({"levels": 2, "populations": (0.5, 0.6)}, "add up to 1"),
        ({"junk": 1.0}, "junk"),
        ({"view_concentration": -1.0}, "view_concentration"),
        ({"view_axes": ((0.0, 0.0, 1.0),)}, "need view_concentration"),
        ({"view_concentration": 2.0, "view_axes": ((0.0, 0.0, 0.0),)}, "other than"),
        ({"contrast_range": (0.0, 1.0)}, "contrast_range"),
    ],
)
def test_impossible_sets_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        Recipe.named("hinge", **settings)


def test_a_transition_is_linear_between_its_frames(tmp_path):
    frames = np.array([[[0.0, 0, 0], [10, 0, 0]], [[0, 0, 0], [10, 2, 0]], [[0, 0, 0], [10, 2, 6]]])
    np.savez(tmp_path / "path.npz", coordinates=frames, element=np.array(["C", "C"]))
    motion = build_molecule(Recipe.named("transition", model=str(tmp_path / "path.npz"), box=16, pixel_size=4.0)).motion
    assert isinstance(motion, Transition)
    at, _ = motion.atoms(np.array([[0.0], [0.25], [0.5], [1.0]]))
    between = at[:, 1] - at[:, 0]
    np.testing.assert_allclose(between, [[10, 0, 0], [10, 1, 0], [10, 2, 0], [10, 2, 6]], atol=1e-12)
    assert motion.moving.tolist() == [True, True] or motion.moving.tolist() == [False, True]


def test_a_transition_survives_the_disk(tmp_path):
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(1, 60, 3)) * 20 + np.linspace(0, 1, 4)[:, None, None] * rng.normal(size=(1, 60, 3)) * 5
    np.savez(tmp_path / "path.npz", coordinates=frames, element=np.array(["C"] * 60))
    recipe = Recipe.named("transition", n=12, box=16, snr=5.0, model=str(tmp_path / "path.npz"), sigma=4.0)
    truth = Truth.load(simulate(recipe, tmp_path / "data"))
    np.testing.assert_allclose(truth.motion.frames, build_molecule(recipe).motion.frames)
    assert truth.conformation.min() >= 0
    assert truth.conformation.max() <= 1
    assert truth.posterior_mean().mean.shape == (12,)
    assert float((truth.map(0) - truth.map(1)).abs().max()) > 0


def test_models_of_different_atoms_make_no_transition(tmp_path):
    for count in (4, 5):
        np.savez(tmp_path / f"{count}.npz", coordinates=np.eye(5)[:count, :3] * 9.0, weight=np.ones(count))
    recipe = Recipe.named("transition", models=(str(tmp_path / "4.npz"), str(tmp_path / "5.npz")))
    with pytest.raises(ConfigError, match="same atoms"):
        build_molecule(recipe)


def test_arrays_of_atoms_survive_the_disk(tmp_path):
    model = hinge_atoms().atoms
    write_atoms(tmp_path / "m.npz", model)
    (read,) = read_frames(tmp_path / "m.npz")
    assert read.labels == model.labels
    assert read.chain_names == model.chain_names
    np.testing.assert_array_equal(read.coordinates, model.coordinates)
    (tmp_path / "bad.npz").write_bytes(b"no")
    with pytest.raises(DataError, match=r"bad\.npz"):
        read_frames(tmp_path / "bad.npz")


def test_residues_of_a_chain_can_be_chosen():
    model = Atoms(
        np.zeros((4, 3)), np.ones(4), np.array([0, 0, 0, 1]), ("H", "L"), ("H/1/N", "H/100A/N", "H/230/N", "L/5/N")
    )
    assert model.in_chains(("H/1-100", "L")).tolist() == [True, True, False, True]
    with pytest.raises(ConfigError, match="first-last"):
        model.in_chains(("H/x",))


def test_the_bound_of_a_pose_is_reached_by_maximum_likelihood(tmp_path):
    """At high SNR the maximum-likelihood error of a pose has the bound's size: one Gauss-Newton step from the truth,
    which needs nothing but the gradient and the same information, over 60 particles."""
    recipe = Recipe.named("homogeneous", n=60, box=24, snr=2.0, seed=2, shift_px=1.0, pixel_size=8.0)
    truth = Truth.load(simulate(recipe, tmp_path / "data"))
    bound = pose_bound(truth)
    pixels, eps = pixels_of(truth.folder).astype(np.float64), 1e-3
    errors = np.zeros((60, 5))
    for i in range(60):
        positions, weights = truth.motion.atoms(np.zeros((1, 0)))

        def mean(change, i=i, positions=positions, weights=weights):
            rotation = rotvec_to_matrix(torch.from_numpy(change[None, :3])).numpy() @ truth.rotation[[i]]
            shift = truth.shift[[i]] + change[None, 3:]
            transfer = truth.camera.transfer(truth.ctf[np.array([i])])
            image = project_gaussians(positions, weights, rotation, shift, truth.camera, transfer)
            return truth.scale * image.double().numpy().ravel()

        scale = np.array([eps * 10] * 3 + [1.0] * 2)
        slopes = np.stack([(mean(row) - mean(-row)) / (2 * s) for row, s in zip(np.diag(scale), scale)])
        errors[i] = np.linalg.solve(slopes @ slopes.T, slopes @ (pixels[i].ravel() - mean(np.zeros(5))))
    found = np.rad2deg(np.sqrt((errors[:, :3] ** 2).sum(1).mean()))
    assert found == pytest.approx(np.sqrt((bound.rotation_deg**2).mean()), rel=0.2)
    assert np.sqrt((errors[:, 3:] ** 2).sum(1).mean()) == pytest.approx(np.sqrt((bound.shift**2).mean()), rel=0.2)
    assert bound.median_rotation_deg < np.median(bound.rotation_deg) * 1.1
    assert (bound.direction_deg < bound.rotation_deg).all()


def test_the_bound_of_a_pose_shrinks_with_the_noise(tmp_path):
    """A quarter of the noise variance halves every error."""
    recipe = Recipe.named("hinge", n=4, box=16, snr=1.0, seed=3)
    truth = Truth.load(simulate(recipe, tmp_path / "data"))
    less = dataclasses.replace(truth, noise_variance=0.25 * truth.noise_variance)
    np.testing.assert_allclose(pose_bound(less).rotation_deg, 0.5 * pose_bound(truth).rotation_deg)
    with pytest.raises(ConfigError, match="no noise"):
        pose_bound(dataclasses.replace(truth, noise_variance=0.0))
