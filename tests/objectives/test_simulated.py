"""Images made inside a method against the package's simulator of data."""

import dataclasses

import numpy as np
import pytest
import torch

from hypermol.conformations import DrawnConformation
from hypermol.engine.draws import Draws
from hypermol.errors import ConfigError
from hypermol.imaging import radial_mean
from hypermol.objectives import simulated_images
from hypermol.particles import ImageSource, read_particles
from hypermol.poses import DrawnPose
from hypermol.posteriors import Hypotheses
from hypermol.simulation import Recipe, Truth, simulate
from hypermol.testing import small_context
from hypermol.volumes import PositiveVoxels
from hypermol.volumes.density import DensityVolume

COUNT = 1500


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets") / "data"
    simulate(Recipe.named("homogeneous", n=COUNT, box=16, snr=2.0, shift_px=1.0, seed=3), folder)
    return ImageSource(read_particles(folder / "particles.star")).load_all()


class TrueMap(DensityVolume):
    def __init__(self, map_, scale, context):
        super().__init__(0, context)
        self.map_, self.scale = map_, scale

    def densities(self, z):
        return self.scale * self.map_[None]

    def raw(self, z):
        raise NotImplementedError


def drawn(count, seed=0):
    return Draws(seed, (0, 0), count, 0, count, torch.device("cpu"))


def test_made_images_have_the_power_of_the_data_in_every_shell(source):
    """From the true map, drawn poses and shifts, the data's CTFs and noise."""
    batch = source.load(np.arange(COUNT))
    truth = Truth.load(source.particles.path.parent)
    context = dataclasses.replace(small_context(16), signal_amplitude=torch.ones(8))
    real = source.load(np.arange(COUNT))
    own = Hypotheses(rotation=batch.rotation[:, None], shift=batch.shift[:, None])
    volume = TrueMap(truth.map(0).float(), 1.0, context)
    one = simulated_images(volume, own, dataclasses.replace(batch, variance=1e-12 * batch.variance), drawn(COUNT))
    scale = (real.images.conj() * one).real.sum() / one.abs().square().sum()  # the gain of the set's normalisation
    volume.scale = float(scale)
    pose = DrawnPose(shift_px=1.0).build(context)(batch, drawn(COUNT), {})
    made = simulated_images(volume, pose, batch, drawn(COUNT))
    powers = [radial_mean(x.abs().square().mean((0, 1)), batch.lattice) for x in (made, batch.images)]
    np.testing.assert_allclose(powers[0][1:], powers[1][1:], rtol=0.12)


def test_gradients_reach_the_map(source):
    batch = source.load(np.arange(8))
    volume = PositiveVoxels().build(small_context(16))
    pose = DrawnPose().build(small_context(16))(batch, drawn(8), {})
    simulated_images(volume, pose, batch, drawn(8)).abs().square().sum().backward()
    inside = volume.sphere > 0.5
    assert (volume.voxels.grad[inside] != 0).all()


def test_contrast_spreads_the_molecule_and_not_the_noise(source):
    batch = source.load(np.arange(200))
    volume = PositiveVoxels().build(dataclasses.replace(small_context(16), signal_amplitude=torch.full((8,), 1e4)))
    pose = DrawnPose().build(small_context(16))(batch, drawn(200), {})
    with torch.no_grad():
        plain, spread = (simulated_images(volume, pose, batch, drawn(200), share) for share in (0.0, 0.3))
    ratio = (spread.conj() * plain).real.sum(-1) / plain.abs().square().sum(-1)
    assert float(ratio.std()) == pytest.approx(0.3, rel=0.15)


def test_given_rotations_go_to_other_particles(source):
    batch = source.load(np.arange(10))
    found = DrawnPose(rotations="given").build(small_context(16))(batch, drawn(10), {}).rotation[:, 0]
    torch.testing.assert_close(found[1:], batch.rotation[:-1])
    assert not torch.allclose(found[3], batch.rotation[3])
    with pytest.raises(ConfigError, match="have no poses"):
        DrawnPose(rotations="given").build(small_context(16))(dataclasses.replace(batch, rotation=None), drawn(10), {})


def test_z_is_shared_by_neighbours_and_drawn_from_its_prior(source):
    batch = source.load(np.arange(1200))
    for distribution, mean, deviation in (("even", 0.5, 12**-0.5), ("normal", 0.0, 1.0)):
        prior = DrawnConformation(distribution=distribution, shared=4).build(small_context(16))
        z = prior(batch, Hypotheses(), drawn(1200), {}).z[:, 0]
        assert torch.equal(z[0::4], z[3::4])
        assert len(z.unique()) == 300
        assert float(z.mean()) == pytest.approx(mean, abs=0.15)
        assert float(z.std()) == pytest.approx(deviation, rel=0.15)
        part = prior(batch.slice(6, 21), Hypotheses(), drawn(1200).part(6, 21), {}).z[:, 0]
        assert torch.equal(part, z[6:21])


def test_the_family_is_shown_at_equal_probabilities():
    even, normal = DrawnConformation().along(5), DrawnConformation(distribution="normal").along(5)
    torch.testing.assert_close(even[:, 0], torch.tensor([0, 0.25, 0.5, 0.75, 1.0]))
    share = 0.5 * (1 + torch.erf(normal[:, 0] / 2**0.5))
    torch.testing.assert_close(share, torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9]))
