"""The whole way: half maps, curves, mask, final map, files."""

import dataclasses

import pytest
import torch

from hypermol.errors import DataError
from hypermol.maps import read_map
from hypermol.metrics import fsc
from hypermol.reconstruction import consensus, fourier_gain, half_map_curves, real_space_gain
from hypermol.reconstruction.curves import first_below


@pytest.fixture(scope="module")
def noisy(source_maker):
    source = source_maker(box=32, count=1500, snr=0.05, radius=0.2)
    return source, consensus(source, batch_size=400)


def test_the_map_is_closer_to_the_truth_than_the_half_maps(noisy):
    source, maps = noisy
    truth = source.true_map()
    whole = maps.half_maps.mean(0)
    ours, plain = fsc(maps.map, truth), fsc(whole, truth)
    reliable = plain > 0.143
    assert float((ours - plain)[reliable].min()) > -0.01
    assert float(ours[1:8].min()) > 0.97
    assert float((maps.map - truth).norm()) < 0.5 * float((whole - truth).norm())
    scale = float((maps.map * truth).sum() / truth.square().sum())
    assert scale == pytest.approx(0.95, abs=0.06)  # a posterior mean is a little small, never large


def test_curves_are_of_the_stated_kind(noisy):
    _, maps = noisy
    curves = maps.curves
    assert curves.independence == "accumulators"
    assert set(curves.named()) == {"unmasked", "masked", "randomised", "corrected"}
    for curve in curves.named().values():
        assert curve.shape == (16,)
        assert float(curve[0]) == 1
    torch.testing.assert_close(curves.unmasked, fsc(*maps.half_maps))
    torch.testing.assert_close(curves.masked, fsc(*maps.half_maps, maps.mask))
    assert curves.first_randomised == int((curves.unmasked[1:] < 0.8).nonzero()[0]) + 1
    # beyond the randomised shell only the mask correlates: little, as it is soft
    assert float(curves.randomised[curves.first_randomised + 2 :].abs().mean()) < 0.3
    assert curves.resolution("masked") <= curves.resolution("unmasked")
    assert 8 < curves.resolution() < 20  # box 32, 4 Å per pixel: Nyquist is 8 Å


def test_half_maps_predict_the_error_of_the_whole(noisy):
    """FSC(whole, truth) = √(2F/(1 + F)) (Rosenthal & Henderson 2003): two routes to the signal in each shell."""
    source, maps = noisy
    half = maps.curves.unmasked.clamp(min=0)
    predicted = torch.sqrt(2 * half / (1 + half))
    found = fsc(maps.half_maps.mean(0), source.true_map())
    assert float((predicted - found)[2:12].abs().max()) < 0.08


def test_mask_holds_the_molecule(noisy):
    source, maps = noisy
    truth = source.true_map()
    assert "automatic" in maps.mask_origin
    assert float((truth * maps.mask).sum() / truth.sum()) > 0.97
    assert 0.02 < float(maps.mask.mean()) < 0.5


def test_files_carry_the_pixel_size(noisy, tmp_path):
    source, maps = noisy
    paths = maps.write(tmp_path / "maps")
    assert [path.name for path in paths] == ["consensus.mrc", "unfiltered.mrc", "half1.mrc", "half2.mrc", "mask.mrc"]
    for path, map_ in zip(paths, maps.named_maps().values()):
        stored, pixel_size = read_map(path)
        assert pixel_size == pytest.approx(source.pixel_size)
        torch.testing.assert_close(stored, map_)


def test_same_seed_same_bits(source_maker):
    source = source_maker(box=16, count=60, snr=0.5)
    first, second = consensus(source, batch_size=16), consensus(source, batch_size=16)
    assert torch.equal(first.map, second.map)
    assert torch.equal(first.curves.randomised, second.curves.randomised)
    other = consensus(source, batch_size=16, seed=1)
    assert torch.equal(first.half_maps, other.half_maps)


def test_pure_noise_gives_a_flat_map_and_says_so(source_maker):
    source = source_maker(box=16, count=200, snr=1e-6)
    maps = consensus(source)
    assert float(maps.map.norm()) < 0.5 * float(maps.half_maps.mean(0).norm())
    assert maps.curves.resolution("unmasked") > 2.2 * source.pixel_size


def test_an_empty_half_is_refused(source_maker):
    source = source_maker(box=16, count=8)
    source.half = torch.zeros_like(source.half)
    with pytest.raises(DataError, match="half set 2"):
        consensus(source)


def test_no_particles_are_refused(source_maker):
    with pytest.raises(DataError, match="not one particle"):
        consensus(source_maker(box=16, count=0))


def test_several_images_per_particle_equal_as_many_particles(source_maker):
    """A tilt series is the same data as its images, each with its own pose."""
    source = source_maker(box=16, count=30, images=2, snr=1.0)
    batch = source.load(torch.arange(30))
    flat = dataclasses.replace(source)
    flat.rotation = (batch.tilt @ batch.rotation[:, None]).flatten(0, 1)
    moved = (batch.tilt @ batch.shift[:, None, :, None])[..., :2, 0]
    flat.shift = (moved + batch.image_shift).flatten(0, 1)
    flat.tilt, flat.image_shift = torch.eye(3).expand(60, 1, 3, 3), torch.zeros(60, 1, 2)
    for name in ("images", "ctf", "variance"):
        setattr(flat, name, getattr(source, name).flatten(0, 1)[:, None])
    flat.half = source.half.repeat_interleave(2)
    torch.testing.assert_close(consensus(flat).half_maps, consensus(source).half_maps, rtol=1e-4, atol=1e-4)


def test_real_space_gain_is_one_in_the_molecule_and_zero_outside():
    generator = torch.Generator().manual_seed(0)
    axis = torch.arange(32) - 16
    radius = torch.sqrt((axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).float())
    signal = torch.randn((32, 32, 32), generator=generator) * (radius < 8)
    halves = [signal + 0.2 * torch.randn(signal.shape, generator=generator) for _ in range(2)]
    gain = real_space_gain(*halves, torch.ones(16, dtype=torch.float64))
    assert float(gain[radius < 6].min()) > 0.95
    assert float(gain[(radius > 12) & (radius < 14)].max()) < 0.25
    assert float(gain[radius > 16].max()) == 0


def test_fourier_gain_and_first_below():
    curve = torch.full((8,), 0.5)
    assert torch.allclose(fourier_gain(curve), torch.full((8,), 2 / 3, dtype=torch.float64))
    assert first_below(torch.tensor([1.0, 0.9, 0.7, 0.9]), 0.8) == 2
    assert first_below(torch.ones(4), 0.8) == 4


def test_identical_half_maps_are_never_randomised(noisy):
    _, maps = noisy
    curves = half_map_curves(maps.map, maps.map, maps.mask, 4.0)
    assert curves.first_randomised == 16
    assert float(curves.corrected.min()) > 0.999
