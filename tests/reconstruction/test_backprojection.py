"""Back projection against analytic truth: sums, shifts, tilts, halves, bookkeeping."""

import pytest
import torch

from hypermol.errors import ConfigError, DataError
from hypermol.imaging import fft3
from hypermol.reconstruction import Accumulators, Insertion, half_map, insertion


def sums_of(source, batch_size=100, oversampling=2):
    total = None
    for group in torch.arange(source.count).split(batch_size):
        total = insertion(source.load(group), oversampling).add_to(total)
    return Accumulators.view(total, source.lattice.box, oversampling).symmetrise()


def band_error(map_, truth, lowest, highest):
    """Relative error of the transforms over shells, and the scale of ``map_`` in units of the truth."""
    box = truth.shape[-1]
    axis = torch.arange(box) - box // 2
    radius = torch.sqrt((axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).double())
    band = (radius >= lowest) & (radius <= highest)
    a, b = fft3(map_.double())[band], fft3(truth.double())[band]
    return float((a - b).norm() / b.norm()), float((a * b.conj()).real.sum() / b.abs().square().sum())


@pytest.mark.parametrize(
    ("count", "images", "ctf"), [(600, 1, False), (600, 1, True), (250, 3, True)], ids=["plain", "ctf", "tilts"]
)
def test_half_map_is_the_density_on_its_true_scale(source_maker, count, images, ctf):
    source = source_maker(box=32, count=count, images=images, ctf=ctf)
    error, scale = band_error(half_map(sums_of(source), 0), source.true_map(), 4, 12)
    # trilinear gridding itself leaves 0.015 with ten times as many views; the innermost shells, where slices are
    # farther apart than grid nodes, are worse
    assert error < 0.05
    assert scale == pytest.approx(1, abs=0.01)


def test_weights_count_squared_ctf_over_variance(source_maker):
    source = source_maker(box=32, count=40, noise=3.0)
    sums = sums_of(source)
    expected = (source.ctf.double() ** 2 / source.variance * source.lattice.weight).sum((0, 1, 2))
    found = sum(2 * sums.weight(h).sum() - sums.weight(h)[:, :, 0].sum() for h in range(2))
    # the whole of Fourier space holds each sample at k and at -k; the origin meets itself
    assert float(found) == pytest.approx(2 * float(expected), rel=1e-5)


def test_order_and_size_of_batches_only_round(source_maker):
    source = source_maker(box=16, count=60)
    together, apart = sums_of(source, batch_size=60), sums_of(source, batch_size=7)
    torch.testing.assert_close(together.data, apart.data, rtol=1e-6, atol=1e-6)


def test_halves_do_not_touch(source_maker):
    source = source_maker(box=16, count=40)
    both = sums_of(source)
    source.images = torch.where((source.half == 1)[:, None, None], 0.0, source.images)
    changed = sums_of(source)
    assert torch.equal(both.numerator(0), changed.numerator(0))
    assert torch.equal(both.weight(0), changed.weight(0))
    assert float(changed.numerator(1).abs().max()) == 0


def test_invalid_images_add_nothing(source_maker):
    source = source_maker(box=16, count=10, images=2)
    batch = source.load(torch.arange(10))
    batch.valid[3:, 1] = False
    alone = insertion(batch)
    assert alone.weight.shape[0] == 13
    assert alone.half.tolist() == [0, 0, 1, 1, 0, 0, 1, 0, 1, 0, 1, 0, 1]


def test_deposit_follows_the_engine_contract(source_maker):
    from hypermol.engine import Deposit

    deposit = insertion(source_maker(box=16, count=4).load(torch.arange(4)))
    assert isinstance(deposit, Deposit)
    assert deposit.finite()
    total = deposit.add_to(None)
    again = deposit.add_to(total)
    assert again.data_ptr() == total.data_ptr()
    assert total.dtype == torch.float64
    deposit.numerator[0, 3] = float("nan")
    assert not deposit.finite()


def test_an_empty_batch_adds_nothing(source_maker):
    deposit = insertion(source_maker(box=16, count=4).load(torch.arange(0)))
    assert isinstance(deposit, Insertion)
    assert float(deposit.add_to(None).abs().max()) == 0


def test_missing_poses_are_named(source_maker):
    from dataclasses import replace

    batch = source_maker(box=16, count=4).load(torch.arange(4))
    with pytest.raises(DataError, match="rlnAngleRot"):
        insertion(replace(batch, rotation=None))


def test_sums_of_another_box_are_refused(source_maker):
    deposit = insertion(source_maker(box=16, count=4).load(torch.arange(4)))
    with pytest.raises(ConfigError, match="box of 16"):
        deposit.add_to(Accumulators.zeros(32).data)


def test_float64_sums_keep_what_float32_would_lose():
    """A node that a million images hit still counts each of them."""
    sums = Accumulators.zeros(8)
    weight = sums.weight(0)
    weight += 2.0**24
    weight += 1.0
    assert float(weight[0, 0, 0]) == 2.0**24 + 1
