"""The units of the normal equations on an oversampled grid, derived in wiener.py, measured here."""

import pytest
import torch

from hypermol.imaging import fft3
from hypermol.reconstruction import (
    Accumulators,
    Profile,
    half_map,
    insertion,
    shell_mean,
    signal_power,
    wiener_map,
)

BOX = 32


def sums_of(source, oversampling=2):
    total = insertion(source.load(torch.arange(source.count)), oversampling).add_to(None)
    return Accumulators.view(total, source.lattice.box, oversampling).symmetrise()


def shells(box=BOX):
    axis = torch.arange(box) - box // 2
    return torch.round(torch.sqrt((axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).double())).long().flatten()


def power(map_):
    """Mean |transform|² of a map per shell, [D/2]: written apart from the package."""
    values = fft3(map_.double()).abs().square().flatten()
    total = torch.zeros(2 * BOX, dtype=torch.float64).index_add_(0, shells(), values)
    return (total / torch.bincount(shells(), minlength=2 * BOX).clamp(min=1))[: BOX // 2]


def correlation(a, b):
    both = torch.zeros(3, 2 * BOX, dtype=torch.float64)
    fa, fb = fft3(a.double()).flatten(), fft3(b.double()).flatten()
    for row, values in enumerate(((fa * fb.conj()).real, fa.abs().square(), fb.abs().square())):
        both[row].index_add_(0, shells(), values)
    return (both[0] / torch.sqrt(both[1] * both[2]))[: BOX // 2]


@pytest.mark.parametrize("ctf", [False, True])
def test_noise_of_a_map_is_one_over_oversampling_cubed_h(source_maker, ctf):
    noisy = source_maker(box=BOX, count=2000, ctf=ctf, noise=50.0)
    clean = source_maker(box=BOX, count=2000, ctf=ctf, noise=0.0)
    noisy.images = noisy.images - clean.images
    sums = sums_of(noisy)
    weight = sums.weight(0)
    predicted = shell_mean(torch.where(weight > 0, 1 / weight.clamp(min=1e-9), 0.0), BOX) / 2**3
    ratio = power(half_map(sums, 0)) / predicted
    # shells with hundreds of coefficients; at oversampling 1 without the cube this ratio would be 8 or 1/8
    assert float(ratio[5:15].mean()) == pytest.approx(1, abs=0.1)


def test_prior_from_the_fsc_is_the_power_of_the_molecule(source_maker):
    source = source_maker(box=BOX, count=1500, snr=0.05)
    sums = sums_of(source)
    halves = half_map(sums, 0), half_map(sums, 1)
    estimated = signal_power(sums, correlation(*halves))
    true = power(source.true_map())
    assert torch.log(estimated[3:11] / true[3:11]).abs().mean() < 0.25
    # a second route that knows nothing of the noise: the cross-spectrum of the half maps
    cross = correlation(*halves) * torch.sqrt(power(halves[0]) * power(halves[1]))
    assert torch.log(estimated[3:11] / cross[3:11]).abs().mean() < 0.25


def test_the_prior_is_at_its_best_scale(source_maker):
    """The error against the truth grows when τ² is taken larger or smaller: the units agree."""
    source = source_maker(box=BOX, count=1500, snr=0.02)
    sums, truth = sums_of(source), source.true_map()
    prior = signal_power(sums, correlation(half_map(sums, 0), half_map(sums, 1)))
    errors = [float((wiener_map(sums, prior * scale) - truth).norm()) for scale in (1 / 8, 1 / 2, 1, 2, 8)]
    assert errors[2] == min(errors)
    assert errors[2] < 0.9 * min(errors[0], errors[4])


def test_a_wrong_noise_level_does_not_change_the_map(source_maker):
    source = source_maker(box=BOX, count=300, snr=0.1)
    maps = []
    for scale in (1.0, 25.0):
        source.variance = torch.full_like(source.variance, scale)
        sums = sums_of(source)
        prior = signal_power(sums, correlation(half_map(sums, 0), half_map(sums, 1)))
        maps.append(wiener_map(sums, prior))
    torch.testing.assert_close(maps[0], maps[1], rtol=1e-3, atol=1e-5 * float(maps[0].abs().max()))


def test_filter_gain_is_that_of_rosenthal_and_henderson(source_maker):
    source = source_maker(box=BOX, count=1500, snr=0.05)
    sums = sums_of(source)
    first, second = half_map(sums, 0), half_map(sums, 1)
    fsc = correlation(first, second)
    gain = torch.sqrt(power(wiener_map(sums, signal_power(sums, fsc))) / power((first + second) / 2))
    expected = 2 * fsc / (1 + fsc)
    assert float((gain - expected)[3:12].abs().max()) < 0.05


def test_nearly_empty_nodes_are_damped_not_amplified(source_maker):
    source = source_maker(box=BOX, count=12, ctf=True, noise=1e-4)
    sums = sums_of(source)
    assert float(half_map(sums, 0).abs().max()) < 3 * float(source.true_map().abs().max())


def test_profiles_and_means_agree():
    profile = torch.linspace(3, 1, 16, dtype=torch.float64)
    grid = Profile.of(profile, BOX)[slice(0, 2 * BOX)]
    assert torch.allclose(shell_mean(grid, BOX)[1:], profile[1:], atol=2e-2)
    assert float(grid[0, 0, 0]) == 0
