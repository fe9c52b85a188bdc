"""Contrast and defocus of a particle whose pose is known: sums over rings against whole images, recovery, the prior."""

import math

import numpy as np
import pytest
import torch
from known_molecule import simulated
from scipy import integrate

from hypermol.errors import ConfigError
from hypermol.poses import DefocusSums, ScoredImages, compare_slices, contrast_posterior, find_defocus, learned_variance
from hypermol.poses.contrast import log_evidence
from hypermol.simulation import defocus_bound

SET = {"n": 40, "snr": 1.0, "shift_px": 2.0, "pixel_size": 3.0, "sigma": 1.5, "enlarge": 0.6}


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    return simulated(tmp_path_factory.mktemp("defocus") / "data", astigmatism=800.0, **SET)


@pytest.fixture(scope="module")
def tilted(tmp_path_factory):
    return simulated(tmp_path_factory.mktemp("tilted") / "data", tilts_deg=(0.0, 40.0), **SET)


def sums_of(batch, grid):
    return DefocusSums.of(batch, *compare_slices(batch, grid, batch.rotation, batch.shift))


def refocused(batch, change):
    from dataclasses import replace

    optics = batch.optics.defocused(change[:, None].expand(batch.optics.shape))
    return replace(batch, optics=optics, ctf=optics.evaluate(batch.lattice.k, batch.pixel_size))


@pytest.mark.parametrize("which", ["known", "tilted"])
def test_rings_say_what_whole_images_say(which, request):
    """Against the likelihood of poses, of images whose CTF is made anew at each defocus."""
    _, batch, _, grid = request.getfixturevalue(which)
    sums = sums_of(batch, grid)
    for change in (torch.zeros(40), torch.linspace(-1500, 1500, 40)):
        change = change.double()
        images = ScoredImages.of(refocused(batch, change))
        shift = (batch.shift / batch.pixel_size)[:, None]
        expected = images.log_likelihood(grid, batch.rotation[:, None], shift)[0][:, 0]
        overlap, power = sums.at(change)
        torch.testing.assert_close(overlap[0] - power[0] / 2, expected, rtol=2e-4, atol=2e-3)
        along = sums.along(change)
        torch.testing.assert_close(along[0].diagonal(), overlap[0])
        torch.testing.assert_close(along[1].diagonal(), power[0])


def test_slopes_and_curvatures_are_those_of_the_values(known):
    _, batch, _, grid = known
    sums, change, h = sums_of(batch, grid), torch.full((40,), 300.0, dtype=torch.float64), 0.5
    for here, ahead, behind in zip(sums.at(change), sums.at(change + h), sums.at(change - h), strict=True):
        torch.testing.assert_close((ahead[0] - behind[0]) / (2 * h), here[1], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close((ahead[1] - behind[1]) / (2 * h), here[2], rtol=1e-4, atol=1e-8)


def test_a_wrong_defocus_is_found_again_to_within_the_bound(known):
    truth, batch, _, grid = known
    off = 600 * torch.from_numpy(np.random.default_rng(1).normal(size=40)).clamp(-2, 2)
    found = find_defocus(sums_of(refocused(batch, off), grid), 2000.0, 700.0**2)
    error = (found.change + off).square().mean().sqrt()
    bound = defocus_bound(truth, spread=700.0)
    expected = float(np.sqrt(np.mean(bound.pose_known**2)))
    assert expected < 250 < float(off.square().mean().sqrt())
    assert float(error) < 1.35 * expected
    assert float(found.error.square().mean().sqrt()) == pytest.approx(expected, rel=0.2)
    assert (bound.pose_unknown >= bound.pose_known * (1 - 1e-9)).all()


def test_found_is_the_top_of_a_fine_search_under_the_prior(known):
    _, batch, _, grid = known
    sums, changes = sums_of(batch, grid), torch.arange(-2000, 2001, 2.0, dtype=torch.float64)
    for variance, spread in ((400.0**2, 0.0), (50.0**2, 0.04)):
        found = find_defocus(sums, 2000.0, variance, spread)
        value = log_evidence(*sums.along(changes), spread) - changes.square() / (2 * variance)
        assert float((found.change - changes[value.argmax(1)]).abs().median()) <= 2
        at_found = log_evidence(found.overlap, found.power, spread) - found.change.square() / (2 * variance)
        assert float((at_found - value.amax(1)).min()) > -0.02
        assert (found.error <= math.sqrt(variance) * (1 + 1e-9)).all()


def test_the_contrasts_posterior_and_evidence_by_integration():
    overlap, power, variance = 30.0, 25.0, 0.04
    density = lambda a: math.exp(a * overlap - a * a * power / 2 - (a - 1) ** 2 / (2 * variance) - 17)  # noqa: E731
    total, mean = (integrate.quad(lambda a, n=n: a**n * density(a), -1, 3)[0] for n in (0, 1))
    found, error = contrast_posterior(torch.tensor([overlap]), torch.tensor([power]), variance)
    assert float(found) == pytest.approx(mean / total, rel=1e-6)
    width = integrate.quad(lambda a: (a - mean / total) ** 2 * density(a), -1, 3)[0] / total
    assert float(error) == pytest.approx(math.sqrt(width), rel=1e-5)
    evidence = math.log(total) + 17 - 0.5 * math.log(2 * math.pi * variance)
    assert float(log_evidence(torch.tensor([overlap]), torch.tensor([power]), variance)) == pytest.approx(evidence)


@pytest.mark.parametrize("true", [300.0, 20.0])
def test_the_spread_of_all_particles_is_learned(true):
    """From posteriors under a prior that is far too wide; the other way: the likeliest for the raw estimates."""
    draw, prior = np.random.default_rng(2), 1000.0
    noise = draw.uniform(50, 200, 4000)
    raw = true * draw.normal(size=4000) + noise * draw.normal(size=4000)
    precision = noise**-2 + prior**-2
    found = learned_variance(torch.tensor(raw / noise**2 / precision), torch.tensor(precision**-0.5), 0.0, prior**2)
    spreads = np.arange(1.0, 400.0)
    total = spreads[:, None] ** 2 + noise**2
    best = spreads[(-0.5 * (np.log(total) + raw**2 / total)).sum(1).argmax()]
    assert math.sqrt(found) == pytest.approx(best, abs=3 if true == 300.0 else 25)


def test_without_a_ctf_there_is_no_defocus(known):
    from dataclasses import replace

    _, batch, _, grid = known
    with pytest.raises(ConfigError, match="no CTF"):
        sums_of(replace(batch, optics=None), grid)
