"""Normalisation, sign, window, crop and noise: each against a second route."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hypermol.errors import ConfigError
from hypermol.imaging.fourier import fourier_crop, images_to_packed, packed_to_images
from hypermol.imaging.lattice import Lattice
from hypermol.particles import ImageSource, Preparation, StackReader, StackWriter, read_particles, write_star
from hypermol.particles.contrast import choose_sign, contrast_sigma


def _set(folder: Path, images: np.ndarray, groups: np.ndarray | None = None) -> Path:
    with StackWriter(folder / "p.mrcs", images.shape[-1], 2.0) as stack:
        stack.append(images)
    groups = np.zeros(len(images), dtype=int) if groups is None else groups
    write_star(folder / "p.star", "p.mrcs", box=images.shape[-1], pixel_size=2.0, optics_group=groups)
    return folder / "p.star"


def test_packed_images_are_the_images(star: Path):
    """Back to real space, the batch is (x - mean) / deviation of the raw pixels, per optics group."""
    particles = read_particles(star)
    source = ImageSource(particles)
    batch = source.load(np.arange(12))
    raw = StackReader(particles.stacks[0]).read(np.arange(12)).astype(np.float64)
    axis = np.arange(32) - 16
    outside = np.hypot(axis[:, None], axis[None, :]) > 0.45 * 32
    for group in (0, 1):
        mine = raw[particles.optics_group == group]
        mine = (mine - mine[:, outside].mean()) / mine[:, outside].std()
        lattice = Lattice.disc(32, dtype=torch.float64)
        expected = packed_to_images(images_to_packed(torch.from_numpy(mine), lattice), lattice)
        found = packed_to_images(batch.images[particles.optics_group == group, 0], source.lattice)
        np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("box", [16, 20, 30, 32])
def test_cropping_against_the_real_space_route(star: Path, box: int):
    particles = read_particles(star)
    source = ImageSource(particles, Preparation(box=box, normalise=False, sign=1))
    raw = torch.from_numpy(StackReader(particles.stacks[0]).read(np.arange(12)))
    expected = images_to_packed(fourier_crop(raw, box), Lattice.disc(box))
    torch.testing.assert_close(source.load(np.arange(12)).images[:, 0], expected, atol=2e-4, rtol=1e-4)
    assert source.pixel_size == 3.1 * 32 / box
    assert source.lattice.box == box
    assert source.lattice.band_limit == box // 2 - 1


@pytest.mark.parametrize(("box", "window"), [(None, None), (32, None), (None, 0.8)])
def test_noise_is_the_power_of_noise_images(tmp_path: Path, box: int | None, window: float | None):
    """White noise of two deviations: after normalisation σ² is D² per group, and what the pixels show."""
    generator = np.random.default_rng(0)
    groups = np.arange(400) % 2
    images = generator.standard_normal((400, 48, 48)) * np.where(groups, 7.0, 0.5)[:, None, None] + 30
    particles = read_particles(_set(tmp_path, images.astype(np.float32), groups))
    source = ImageSource(particles, Preparation(box=box, window=window))
    power = source.load(np.arange(400)).images[:, 0, 10:].abs().square()
    variance = source.load(np.arange(400)).variance[:, 0, 10:]
    for group in (0, 1):
        chosen = torch.from_numpy(groups == group)
        assert float(power[chosen].mean()) == pytest.approx(float(variance[chosen].mean()), rel=0.03)
    if window is None:
        side = box or 48
        assert float(source.noise.mean()) == pytest.approx(side**2 * (side / 48) ** 2, rel=0.03)


def test_small_groups_take_the_noise_of_all(tmp_path: Path):
    generator = np.random.default_rng(0)
    groups = np.array([0] * 30 + [1] * 3 + [2])
    images = generator.standard_normal((34, 32, 32)).astype(np.float32)
    source = ImageSource(read_particles(_set(tmp_path, images, groups)))
    assert source.noise.shape == (3, 16)
    scale = source.calibration.scale
    torch.testing.assert_close(source.noise[1] * scale[1] ** 2, source.noise[2] * scale[2] ** 2)


def test_dark_particles_are_flipped_only_when_clear(star: Path):
    particles = read_particles(star)
    bright = ImageSource(particles)
    assert bright.calibration.sign == 1
    assert bright.calibration.sigma > 5
    expected = bright.load(np.arange(12)).images
    raw = StackReader(particles.stacks[0]).read(np.arange(12))
    with StackWriter(particles.stacks[0], 32, 3.1) as stack:
        stack.append(-raw)
    dark = ImageSource(particles)
    assert dark.calibration.sign == -1
    assert "dark particles" in dark.notes[0]
    torch.testing.assert_close(dark.load(np.arange(12)).images, expected, atol=1e-4, rtol=1e-4)
    assert ImageSource(particles, Preparation(sign=1)).calibration.sign == 1
    stated = ImageSource(replace(particles, sign=1))
    assert stated.calibration.sign == 1
    assert "which the images contradict" in stated.notes[0]


def test_noise_alone_has_no_contrast():
    generator = torch.Generator().manual_seed(0)
    scores = [contrast_sigma(torch.randn(60, 32, 32, generator=generator)) for _ in range(40)]
    assert 0.7 < float(np.std(scores)) < 1.4
    assert abs(float(np.mean(scores))) < 0.6
    assert choose_sign("auto", None, 4.9)[0] == choose_sign("auto", None, -4.9)[0] == 1
    assert choose_sign("auto", None, -5.1)[0] == -1
    with pytest.raises(ConfigError, match="sign"):
        choose_sign("dark", None, 0.0)


def test_images_with_empty_corners_are_normalised_as_a_whole(tmp_path: Path):
    axis = np.arange(32) - 16
    disc = np.hypot(axis[:, None], axis[None, :]) < 10
    images = np.random.default_rng(0).standard_normal((20, 32, 32)) * disc
    source = ImageSource(read_particles(_set(tmp_path, images.astype(np.float32))))
    assert any("corners of the images are empty" in note for note in source.notes)
    batch = source.load(np.arange(20))
    assert torch.isfinite(batch.images.abs()).all()
    assert float(batch.variance.min()) > 0


def test_noise_free_images_have_finite_weights(shared_data: Path):
    source = ImageSource(read_particles(shared_data / "cryodrgn_tests/hand.mrcs"))
    batch = source.load(np.arange(10))
    assert torch.isfinite(batch.images.abs().square() / batch.variance).all()


@pytest.mark.parametrize(
    ("preparation", "message"),
    [
        (Preparation(box=64), "box: expected an even number from 8 to 32"),
        (Preparation(box=17), "box: expected an even number"),
        (Preparation(window=0.0), "window: expected"),
        (Preparation(sign=2), "sign: expected"),
    ],
)
def test_impossible_preparations(star: Path, preparation: Preparation, message: str):
    with pytest.raises(ConfigError, match=message):
        ImageSource(read_particles(star), preparation).load_all()


def test_ctf_and_poses_of_a_batch_explain_relions_projections(shared_data: Path):
    """RELION projected a map with CTF and poses: the batch's own CTF, rotation and shift must give its images."""
    from hypermol.imaging.forward import slice_coordinates
    from hypermol.imaging.shifts import shift_phase
    from hypermol.kernels import slice_grid
    from hypermol.kernels.grid import volume_to_grid
    from hypermol.maps.files import read_map

    folder = shared_data / "relion313_reference"
    particles = read_particles(folder / "proj48_ctf.star")
    source = ImageSource(particles, Preparation(normalise=False, sign=1))
    batch = source.load(np.arange(48)).limit(25)  # 0.8 of Nyquist
    volume, pixel_size = read_map(folder / "vol64.mrc")
    assert pixel_size == pytest.approx(source.pixel_size, rel=1e-5)
    grid = volume_to_grid(torch.as_tensor(volume))
    slices = slice_grid(grid, slice_coordinates(batch.lattice.k, batch.rotation), 64)[..., 0]
    phase = shift_phase(batch.lattice.k, batch.shift / source.pixel_size)
    predicted = slices * phase * batch.ctf[:, 0]
    found = batch.images[:, 0]
    keep = batch.lattice.shell > 0
    overlap = (predicted * found.conj())[:, keep].sum(-1).real
    norms = predicted[:, keep].abs().square().sum(-1) * found[:, keep].abs().square().sum(-1)
    assert float((overlap / norms.sqrt()).min()) > 0.999
