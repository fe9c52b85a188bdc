import importlib
import math
import tomllib

import numpy as np
import pytest
import torch

from hypermol.errors import ConfigError
from hypermol.imaging.fourier import images_to_packed
from hypermol.imaging.lattice import Lattice
from hypermol.maps import read_map
from hypermol.particles import StackReader, check_particles, read_particles
from hypermol.simulation import Recipe, Truth, build_molecule, project_gaussians, simulate
from hypermol.simulation.draws import draw, white_noise


def pixels_of(folder):
    reader = StackReader(folder / "particles.mrcs")
    return reader.read(np.arange(reader.shape[0]))


def clean_images(truth):
    """All clean images, in one go instead of in tiles."""
    images = np.arange(len(truth.image_particle))
    particle = truth.image_particle
    points = truth.motion.points(truth.conformation[particle], truth.state[particle])
    positions, weights = truth.motion.atoms(points)
    rotations, shifts = truth.image_poses(images)
    transfer = None if truth.ctf is None else truth.camera.transfer(truth.ctf)
    return truth.scale * project_gaussians(positions, weights, rotations, shifts, truth.camera, transfer).numpy()


def test_the_folder_holds_what_the_design_says(hinge_folder):
    names = {str(path.relative_to(hinge_folder)) for path in hinge_folder.rglob("*") if path.is_file()}
    states = {f"volumes/state-{i:03d}.mrc" for i in range(10)} | {f"atoms/state-{i:03d}.cif" for i in range(10)}
    assert names == states | {
        "particles.star", "particles.mrcs", "truth.npz", "simulation.toml", "atoms/motion.npz"
    }  # fmt: skip
    with np.load(hinge_folder / "truth.npz", allow_pickle=False) as data:
        shapes = {name: data[name].shape for name in data.files}
    assert shapes["rotation"] == (60, 3, 3)
    assert shapes["shift"] == (60, 2)
    assert shapes["conformation"] == (60, 1)
    assert shapes["state"] == (60,)
    assert shapes["tilt"] == (60, 3, 3)
    assert shapes["image_particle"] == (60,)
    assert shapes["noise_variance"] == ()


def test_star_and_stack_read_back_as_the_truth(hinge_folder, hinge_truth):
    particles = read_particles(hinge_folder / "particles.star")
    assert (particles.count, particles.box, particles.pixel_size) == (60, 32, 6.0)
    np.testing.assert_allclose(particles.rotation, hinge_truth.rotation, atol=1e-6)
    np.testing.assert_allclose(particles.shift, hinge_truth.shift, atol=1e-5)
    np.testing.assert_array_equal(particles.half, hinge_truth.half)
    assert np.bincount(particles.half).tolist() == [30, 30]
    np.testing.assert_allclose(particles.ctf.defocus_u.numpy(), hinge_truth.ctf.defocus_u.numpy(), atol=1e-5)
    assert check_particles(particles).problems == ()
    assert np.abs(hinge_truth.shift).max() <= 12.0


def test_signal_and_noise_have_the_stated_ratio(tmp_path):
    folder = simulate(Recipe.named("hinge", n=200, box=32, snr=0.25, seed=1), tmp_path / "set")
    truth, pixels = Truth.load(folder), pixels_of(folder)
    clean = clean_images(truth)
    noise = pixels - clean
    assert truth.noise_variance == 1.0
    assert noise.var() == pytest.approx(1.0, rel=0.01)
    assert abs(noise.mean()) < 0.01
    assert clean.var() / noise.var() == pytest.approx(0.25, rel=0.01)
    assert clean.astype(np.float64).var() == pytest.approx(0.25, rel=1e-5)
    measured = tomllib.loads((folder / "simulation.toml").read_text())["measured"]
    assert measured["signal_variance"] == pytest.approx(0.25, rel=1e-6)
    assert measured["molecule_to_box"] == pytest.approx(134.02 / 192, abs=1e-3)
    power = torch.fft.fft2(torch.from_numpy(noise)).abs().square().mean(0) / 32**2
    assert float(power.std()) < 0.15  # white
    correlation = np.corrcoef(noise.reshape(200, -1))[np.triu_indices(200, 1)]
    assert np.abs(correlation).max() < 6 / 32


def test_a_set_is_a_function_of_its_recipe(hinge_folder, tmp_path):
    recipe = Recipe.from_toml(hinge_folder / "simulation.toml")
    torch.set_num_threads(2)
    again = simulate(recipe, tmp_path / "again")
    assert (again / "particles.mrcs").read_bytes() == (hinge_folder / "particles.mrcs").read_bytes()
    assert (again / "particles.star").read_text() == (hinge_folder / "particles.star").read_text()
    other = simulate(Recipe.from_toml(hinge_folder / "simulation.toml", seed=4), tmp_path / "other")
    assert (again / "particles.star").read_text() != (other / "particles.star").read_text()


def test_noise_belongs_to_the_image_not_to_the_chunk():
    whole = white_noise(9, np.arange(20), 16)
    np.testing.assert_array_equal(whole[7:12], white_noise(9, np.arange(7, 12), 16))
    assert not np.array_equal(whole[0], white_noise(10, np.arange(1), 16)[0])
    assert whole.std() == pytest.approx(1.0, rel=0.05)


def test_one_setting_leaves_the_other_draws_alone():
    first = draw(Recipe.named("hinge", n=50), build_molecule(Recipe.named("hinge")).motion, 3.0)
    linear = Recipe.named("linear1d", n=50, defocus="log-normal")
    second = draw(linear, build_molecule(linear).motion, 3.0)
    np.testing.assert_array_equal(first.rotation, second.rotation)
    np.testing.assert_array_equal(first.half, second.half)


def test_draws_follow_their_distributions():
    recipe = Recipe.named("hinge", n=20_000, defocus="log-normal", shift_px=4.0, astigmatism=500.0)
    drawn = draw(recipe, build_molecule(recipe).motion, 3.0)
    direction = drawn.rotation[:, 2]
    np.testing.assert_allclose(direction.mean(0), 0, atol=0.02)
    np.testing.assert_allclose(direction.T @ direction / 20_000, np.eye(3) / 3, atol=0.01)
    assert np.abs(drawn.shift).max() <= 12.0
    assert drawn.shift.std() == pytest.approx(24 / np.sqrt(12), rel=0.02)
    mean = (drawn.ctf.defocus_u + drawn.ctf.defocus_v).numpy() / 2
    assert np.mean((mean > 1e4) & (mean < 2.5e4)) == pytest.approx(0.95, abs=0.006)
    assert np.log(mean).mean() == pytest.approx(np.log(math.sqrt(2.5) * 1e4), abs=0.01)
    difference = (drawn.ctf.defocus_u - drawn.ctf.defocus_v).numpy()
    assert 0 <= difference.min() <= difference.max() <= 500.0


def test_tilt_pairs(tmp_path):
    recipe = Recipe.named("linear1d", n=12, box=32, snr=2.0, tilts_deg=(0.0, 45.0))
    folder = simulate(recipe, tmp_path / "pairs")
    truth, particles = Truth.load(folder), read_particles(folder / "particles.star")
    assert (particles.count, particles.images) == (12, 24)
    assert truth.shift.shape == (12, 3)
    np.testing.assert_array_equal(particles.image_particle, truth.image_particle)
    np.testing.assert_allclose(particles.rotation, truth.rotation, atol=1e-6)
    np.testing.assert_allclose(particles.tilt, truth.tilt, atol=1e-6)
    np.testing.assert_allclose(particles.shift, truth.shift, atol=1e-4)
    half = math.sqrt(0.5)
    expected = np.array([[1, 0, 0], [0, half, -half], [0, half, half]])
    np.testing.assert_allclose(truth.tilt[1::2], np.tile(expected, (12, 1, 1)), atol=1e-12)
    noise = pixels_of(folder) - clean_images(truth)
    assert noise.var() == pytest.approx(1.0, rel=0.03)


def test_without_ctf_and_noise_images_are_slices_of_the_true_maps(tmp_path):
    folder = simulate(Recipe.named("linear2d", n=6, box=32, snr=math.inf, ctf=False), tmp_path / "clean")
    truth, particles = Truth.load(folder), read_particles(folder / "particles.star")
    assert particles.ctf is None
    assert truth.noise_variance == 0.0
    pixels = torch.from_numpy(pixels_of(folder))
    assert float(pixels.double().var(correction=0)) == pytest.approx(1.0, rel=1e-5)
    lattice = Lattice.disc(32, 10)
    found = images_to_packed(pixels, lattice)
    r = torch.arange(32, dtype=torch.float64) - 16
    for particle in range(6):
        k3 = lattice.k.double() @ torch.from_numpy(truth.rotation[particle][:2])
        x, y, z = (torch.exp(-2j * torch.pi * k3[:, axis, None] * r) for axis in range(3))
        slice_ = torch.einsum("zyx,px,py,pz->p", truth.map(particle).to(torch.complex128), x, y, z)
        moved = torch.exp(-2j * torch.pi * (lattice.k.double() @ torch.from_numpy(truth.shift[particle])) / 6.0)
        error = (found[particle] - slice_ * moved).abs().max() / slice_.abs().max()
        assert float(error) < 5e-3


def test_true_maps_are_written_with_their_pixel_size(hinge_folder, hinge_truth):
    map_, pixel_size = read_map(hinge_folder / "volumes" / "state-003.mrc")
    assert pixel_size == pytest.approx(6.0)
    torch.testing.assert_close(map_, hinge_truth.map_at(np.array([-10.0])))


def test_an_existing_folder_is_refused_and_a_failure_leaves_nothing(hinge_folder, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="already exists"):
        simulate(Recipe.named("hinge", n=2, box=32), hinge_folder)

    def fail(*arguments, **settings):
        raise OSError("no space left on device")

    module = importlib.import_module("hypermol.simulation.simulate")
    monkeypatch.setattr(module, "write_star", fail)
    with pytest.raises(OSError, match="no space"):
        simulate(Recipe.named("hinge", n=2, box=32), tmp_path / "half")
    assert list(tmp_path.iterdir()) == []


def test_progress_is_told(tmp_path):
    seen = []
    recipe = Recipe.named("homogeneous", n=20, box=32)
    simulate(recipe, tmp_path / "new" / "set", lambda *told: seen.append(told))
    assert {stage for stage, _, _ in seen} == {"images", "noise", "maps"}
    assert ("images", 20, 20) in seen


@pytest.mark.slow
def test_ten_thousand_images_in_fifteen_seconds(tmp_path):
    """Issue 2: 10,000 images of 64 px with 1,350 pseudo-atoms in at most 15 s on two cores."""
    import time

    torch.set_num_threads(2)
    start = time.perf_counter()
    simulate(Recipe.named("hinge"), tmp_path / "set")
    assert time.perf_counter() - start < 15.0
