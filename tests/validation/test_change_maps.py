"""How the map changes along a coordinate, from images whose answer is known."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from hypermol.metrics import map_correlation
from hypermol.particles import ImageSource, read_particles
from hypermol.simulation import Recipe, Truth, simulate
from hypermol.validation.axes import pose_and_ctf
from hypermol.validation.change_maps import change_maps
from hypermol.validation.noise_images import NoiseSource


def _source(folder: Path, rows: np.ndarray | None = None) -> ImageSource:
    particles = read_particles(folder / "particles.star")
    return ImageSource(particles if rows is None else particles.subset(rows))


@pytest.fixture(scope="module")
def hinge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("change") / "data"
    simulate(Recipe.named("hinge", n=600, box=16, snr=20.0, shift_px=1.0, seed=11), folder)
    return folder


def test_the_change_along_the_true_angle(hinge: Path):
    """Two axes at once, the true angle and pure chance: the first gives the map's slope along the angle in both halves
    (against the regression of the true maps on it), the second nothing."""
    truth, generator = Truth.load(hinge), np.random.default_rng(0)
    angle = (truth.conformation[:, 0] - truth.conformation[:, 0].mean()) / truth.conformation[:, 0].std()
    rows = [np.flatnonzero(truth.half == half) for half in range(2)]
    sources = tuple(_source(hinge, chosen) for chosen in rows)
    own = [np.stack([angle[chosen], generator.normal(size=len(chosen))], 1) for chosen in rows]
    changes, means = change_maps((sources[0], sources[1]), (own[0], own[1]))
    chosen = np.arange(0, truth.count, 10)
    maps = truth.maps(chosen).double()
    slope = torch.einsum("n,nzyx->zyx", torch.from_numpy(angle[chosen]), maps - maps.mean(0)) / float(
        (angle[chosen] ** 2).sum()
    )
    for half in range(2):
        assert float(map_correlation(changes[half, 0].double(), slope)) > 0.8
        assert float(map_correlation(means[half].double(), maps.mean(0))) > 0.95
        assert float(changes[half, 1].norm() / changes[half, 0].norm()) < 0.4


def test_a_coordinate_of_the_pose_changes_nothing(hinge: Path):
    """A rigid molecule's map does not change with how the particle lay; averaging images by that coordinate would."""
    folder = hinge.parent / "rigid"
    simulate(Recipe.named("hinge", n=600, box=16, snr=20.0, shift_px=1.0, seed=12, range_deg=(0.0, 0.001)), folder)
    source = _source(folder)
    known = pose_and_ctf(source.particles)[:, :1]
    changes, means = change_maps((source, source), (known / known.std(), known / known.std()))
    assert float(changes[0, 0].norm() / means[0].norm()) < 0.1


def test_noise_has_the_spectrum_of_the_images_noise(hinge: Path):
    source = _source(hinge)
    noise = NoiseSource(source, 3)
    batch = noise.load(torch.arange(300))
    power = (batch.images.abs().square() / batch.variance).mean((0, 1))
    np.testing.assert_allclose(float(power.mean()), 1.0, atol=0.02)
    own = batch.lattice.weight < 0.75
    assert own.any()
    assert float(batch.images[..., own].imag.abs().max()) == 0.0
    np.testing.assert_allclose(float(power[own].mean()), 1.0, atol=0.25)


def test_noise_depends_on_the_particle_alone(hinge: Path):
    source = _source(hinge)
    noise = NoiseSource(source, 3)
    turned = torch.arange(40).flip(0)
    streamed = torch.cat([batch.images for batch in noise.stream(turned.split(7))])
    torch.testing.assert_close(streamed.flip(0), noise.load(torch.arange(40)).images)
    other = NoiseSource(source, 4).load(torch.arange(40)).images
    assert float((other - streamed.flip(0)).abs().min()) > 0
    assert noise.count == source.count
    assert dataclasses.is_dataclass(noise)
