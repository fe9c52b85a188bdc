"""Images made up as they are asked for: a particle is always the same, and what was asked for."""

import pytest
import torch

from hypermol.benchmarks.endless import EndlessImages
from hypermol.imaging import Lattice, packed_to_images
from hypermol.imaging.ctf import CTF
from hypermol.kernels import volumes_to_grid
from hypermol.objectives import predicted_images
from hypermol.posteriors import Hypotheses

BOX, SNR = 16, 0.5


@pytest.fixture(scope="module")
def source() -> EndlessImages:
    axis = torch.arange(BOX) - BOX / 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    maps = [torch.exp(-((x - a) ** 2 + (y - 2) ** 2 + z**2) / 6) for a in (-3, 3)]
    return EndlessImages(torch.stack(maps), (0.9, 0.1), 1_000_000, 4.0, SNR, seed=3)


def test_a_particle_is_the_same_in_any_batch(source: EndlessImages) -> None:
    alone, among = source.load(torch.tensor([999_999])), source.load(torch.tensor([5, 999_999, 7]))
    torch.testing.assert_close(alone.images[0], among.images[1])
    torch.testing.assert_close(alone.rotation, among.rotation[1:2])
    assert not torch.equal(among.images[0], among.images[2])


def test_images_are_those_of_the_forward_model_and_noise(source: EndlessImages) -> None:
    """What the model leaves of the images of one map is white, of the variance that the batch states."""
    one = EndlessImages(source.maps[:1], (1.0,), 4000, source.pixel_size, SNR)
    batch = one.load(torch.arange(4000))
    pose = Hypotheses(rotation=batch.rotation[:, None], shift=batch.shift[:, None])
    left = batch.images - predicted_images(_Maps(one.maps), pose, batch)[:, 0]
    power = (left.abs().square() / batch.variance)[:, 0].mean(0)
    torch.testing.assert_close(power, torch.ones_like(power), atol=0.1, rtol=0)


def test_states_have_their_shares(source: EndlessImages) -> None:
    """The first map explains nine images of ten better than the second."""
    batch = source.load(torch.arange(2000))
    pose = Hypotheses(rotation=batch.rotation[:, None], shift=batch.shift[:, None])
    left = [batch.images - predicted_images(_Maps(map_[None]), pose, batch)[:, 0] for map_ in source.maps]
    worse = [(one.abs().square() / batch.variance).sum((1, 2)) for one in left]
    assert float((worse[0] < worse[1]).float().mean()) == pytest.approx(0.9, abs=0.03)


def test_signal_to_noise_ratio_in_pixels(source: EndlessImages) -> None:
    noisy = packed_to_images(source.load(torch.arange(3000)).images[:, 0], source.lattice)
    quiet = EndlessImages(source.maps, source.shares, source.count, source.pixel_size, 1e9, source.seed)
    clean = packed_to_images(quiet.load(torch.arange(3000)).images[:, 0], source.lattice)
    ratio = float(clean.square().mean() / (noisy - clean).square().mean())
    inside = Lattice.disc(BOX).weight.sum() * 2 / BOX**2  # the noise of the corners is not there
    assert ratio * float(inside) == pytest.approx(SNR, rel=0.05)


def test_views_and_defocus_are_spread_as_stated(source: EndlessImages) -> None:
    batch = source.load(torch.arange(20_000))
    view = batch.rotation[:, 2]
    torch.testing.assert_close(view.T @ view / len(view), torch.eye(3) / 3, atol=0.01, rtol=0)
    torch.testing.assert_close(view.mean(0), torch.zeros(3), atol=0.02, rtol=0)
    median = CTF.create(torch.tensor([15_000.0])).evaluate(source.lattice.k, source.pixel_size)
    assert float((batch.ctf[:, 0, 5] < median[0, 5]).float().mean()) == pytest.approx(0.5, abs=0.02)


class _Maps:
    def __init__(self, maps: torch.Tensor) -> None:
        self.grid = volumes_to_grid(maps.float())

    def slices(self, k: torch.Tensor, z: None) -> torch.Tensor:
        from hypermol.kernels import slice_grid

        return slice_grid(self.grid, k, BOX)[..., 0]
