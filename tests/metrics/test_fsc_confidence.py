"""Confidence of an FSC: coverage of the true value, widths by theory, mixtures by hand."""

import numpy as np
import pytest
import torch

from hypermol.errors import ConfigError, DataError
from hypermol.maps import soft_sphere
from hypermol.metrics import fsc, fsc_interval, mixed_fsc, resampled_fsc, resolution, shell_products

BOX, PARTS = 20, 10


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def falling_signal(seed=0):
    """A map whose power falls with the shell, so that FSC goes from 1 to 0."""
    k = torch.fft.fftfreq(BOX, 1 / BOX, dtype=torch.float64)
    radius = torch.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)
    return torch.fft.ifftn(torch.fft.fftn(noise(BOX, BOX, BOX, seed=seed)) * 3 * torch.exp(-radius / 3)).real


def true_fsc(signal, variance):
    """|S|² / (|S|² + noise power) per shell, the noise of a half map's mean being white."""
    k = np.fft.fftfreq(BOX, 1 / BOX)
    shell = np.rint(np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)).astype(int)
    power = np.bincount(shell.ravel(), (np.abs(np.fft.fftn(signal.numpy())) ** 2).ravel())[: BOX // 2]
    points = np.bincount(shell.ravel())[: BOX // 2]
    return power / (power + points * BOX**3 * variance)


def test_the_curve_is_that_of_the_mean_maps():
    first, second, mask = noise(3, 12, 12, 12), noise(4, 12, 12, 12, seed=1), soft_sphere(12, 4.0, 1.0, torch.float64)
    found = fsc_interval(first, second, mask)
    torch.testing.assert_close(found.curve, fsc(first.mean(0), second.mean(0), mask))
    assert bool((found.low <= found.curve).all() & (found.curve <= found.high).all())
    assert float(found.low[0]) == float(found.high[0]) == 1


def test_jackknife_by_hand():
    """Each part left out and the maps averaged anew, one by one."""
    from scipy.stats import t as student

    first, second = noise(3, 8, 8, 8) + noise(8, 8, 8, seed=9), noise(3, 8, 8, 8, seed=1) + noise(8, 8, 8, seed=9)
    variance = 0.0
    for one, other in ((first, second), (second, first)):
        left = [torch.atanh(fsc(one[[j for j in range(3) if j != i]].mean(0), other.mean(0))[1:]) for i in range(3)]
        left = torch.stack(left)
        variance = variance + 2 / 3 * (left - left.mean(0)).square().sum(0)
    centre = torch.atanh(fsc(first.mean(0), second.mean(0))[1:])
    expected = torch.tanh(centre + student.ppf(0.9, 4) * variance.sqrt())
    torch.testing.assert_close(fsc_interval(first, second, level=0.8).high[1:], expected)


def test_limits_hold_the_true_value():
    """At least nine in ten of the 95 % limits hold the FSC without chance, from FSC 1 to FSC 0."""
    inside, widths = [], []
    for trial in range(40):
        signal = falling_signal(trial)
        parts = signal + noise(2 * PARTS, BOX, BOX, BOX, seed=1000 + trial)
        found = fsc_interval(parts[:PARTS], parts[PARTS:])
        known = torch.from_numpy(true_fsc(signal, 1 / PARTS))
        inside.append((found.low <= known) & (known <= found.high))
        widths.append(found.high - found.low)
    covered = torch.stack(inside)[:, 2:].double().mean(0)
    assert float(covered.min()) >= 0.85
    assert 0.92 <= float(covered.mean()) <= 0.995
    assert float(known[1]) > 0.8 > 0.3 > float(known[-1])


def test_width_where_nothing_correlates():
    """Unrelated maps: standard error 1/√points by theory; the limits are at most √2 wider (and t's factor)."""
    half = [fsc_interval(*noise(2, PARTS, BOX, BOX, BOX, seed=s)) for s in range(10)]
    k = np.fft.fftfreq(BOX, 1 / BOX)
    shell = np.rint(np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)).astype(int)
    error = 1 / np.sqrt(np.bincount(shell.ravel())[4 : BOX // 2])
    width = torch.stack([(h.high - h.low) / 2 for h in half]).mean(0).numpy()[4:] / (2.101 * error)
    assert 0.95 <= width.min() <= width.max() <= 1.6


def test_resolution_has_limits():
    signal = falling_signal()
    parts = signal + noise(2 * PARTS, BOX, BOX, BOX, seed=7)
    found = fsc_interval(parts[:PARTS], parts[PARTS:])
    finest, guess, coarsest = found.resolution(2.0, 0.5)
    assert finest <= guess <= coarsest
    assert guess == resolution(found.curve, 2.0, 0.5)


def test_dealt_anew():
    """Each draw is the FSC of a deal of the parts into two halves; identical parts always give 1."""
    parts = noise(4, 8, 8, 8) + noise(8, 8, 8, seed=3)
    curves = resampled_fsc(parts, draws=50, generator=torch.Generator().manual_seed(0))
    deals = [
        fsc(parts[list(d)].mean(0), parts[[i for i in range(4) if i not in d]].mean(0))
        for d in ((0, 1), (0, 2), (0, 3))
    ]
    nearest = torch.cdist(curves, torch.stack(deals)).min(1)
    assert float(nearest.values.max()) < 1e-6  # cdist rounds
    assert len(set(nearest.indices.tolist())) == 3
    torch.testing.assert_close(resampled_fsc(parts[:1].expand(4, -1, -1, -1)), torch.ones(200, 4, dtype=torch.float64))


def test_refusals():
    with pytest.raises(DataError, match="two or more parts"):
        fsc_interval(noise(1, 8, 8, 8), noise(2, 8, 8, 8))
    with pytest.raises(ConfigError, match="between 0 and 1"):
        fsc_interval(noise(2, 8, 8, 8), noise(2, 8, 8, 8), level=95.0)
    for count in (2, 5):
        with pytest.raises(DataError, match="even number of parts"):
            resampled_fsc(noise(count, 8, 8, 8))
    products = shell_products(noise(2, 8, 8, 8))
    assert mixed_fsc(products, torch.eye(2), torch.eye(2)).shape == (2, 4)
