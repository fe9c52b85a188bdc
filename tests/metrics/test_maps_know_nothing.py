"""Rulers of maps know nothing by themselves. A small molecule turns one arm; answers that learned nothing (noise, the
consensus for every particle, true maps of the wrong particles, a rigid molecule) score what theory says, the truth
scores best."""

import math

import numpy as np
import pytest
import torch

from hypermol.maps import soft_sphere
from hypermol.metrics import (
    conformational_resolution,
    cryobench_area,
    fsc_mean,
    fsccc,
    fsccc_distance,
    gain,
    map_correlation,
    particle_curves,
    per_conformation,
)

BOX, PARTICLES, PIXEL = 32, 12, 3.0


def molecule(angle):
    """A body of 40 Gaussians at rest and an arm of 20 that has turned by ``angle`` (radians) about z."""
    rng = np.random.default_rng(0)
    body, arm = rng.normal(size=(40, 3)) * 2.2, rng.normal(size=(20, 3)) * [2.5, 1.0, 1.0] + [5, 0, 0]
    c, s = np.cos(angle), np.sin(angle)
    placed = np.concatenate([body, arm @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])])
    axis = np.arange(BOX) - BOX // 2
    x, y, z = (np.exp(-((axis - placed[:, i, None]) ** 2) / 3.0) for i in range(3))
    return np.einsum("nz,ny,nx->zyx", z, y, x)


TRUTHS = torch.from_numpy(np.stack([molecule(a) for a in np.linspace(-0.6, 0.6, PARTICLES)])).float()
MASK = soft_sphere(BOX, 11.0, 3.0)
ORDER = torch.from_numpy(np.random.default_rng(1).permutation(PARTICLES))


def noise(seed=0):
    return torch.randn(TRUTHS.shape, generator=torch.Generator().manual_seed(seed))


def consensus():
    return TRUTHS.mean(0).expand_as(TRUTHS)


def gains(maps):
    return gain(particle_curves(maps, TRUTHS, MASK), particle_curves(consensus(), TRUTHS, MASK))


def test_the_truth_is_best():
    curves = particle_curves(3 * TRUTHS, TRUTHS, MASK)
    torch.testing.assert_close(fsc_mean(curves), torch.ones(PARTICLES))
    torch.testing.assert_close(gains(TRUTHS), torch.ones(PARTICLES))
    torch.testing.assert_close(cryobench_area(TRUTHS, TRUTHS, MASK), torch.full((PARTICLES,), 15 / 32))
    torch.testing.assert_close(map_correlation(TRUTHS, 2 * TRUTHS + 1, MASK), torch.ones(PARTICLES))
    assert fsccc_distance(fsccc(TRUTHS), fsccc(TRUTHS)).share == 0


def test_the_consensus_scores_no_gain():
    """A rigid core alone gives a high FSC; gain and FSCCC's share say that nothing was learned about motion."""
    curves = particle_curves(consensus(), TRUTHS, MASK)
    assert float(fsc_mean(curves).mean()) > 0.5
    assert float(map_correlation(consensus(), TRUTHS, MASK).min()) > 0.8
    assert float(gains(consensus()).abs().max()) < 1e-6
    assert fsccc_distance(fsccc(consensus(), MASK), fsccc(TRUTHS, MASK)).share == pytest.approx(1, abs=1e-6)
    found = conformational_resolution(consensus(), PIXEL, MASK)
    assert (found.states == 1).all()
    assert found.split == math.inf
    spread = per_conformation(gains(consensus()), np.arange(PARTICLES) // 3)
    assert spread.mean == pytest.approx(0, abs=1e-6)


def test_noise_scores_zero():
    """Mean over shells 0 ± 1/√points, correlation 0, gain below 0 (minus FSC of the consensus over its lack)."""
    curves = torch.cat([particle_curves(noise(s), TRUTHS) for s in range(4)])
    assert float(fsc_mean(curves).mean().abs()) < 0.02
    assert float(fsc_mean(curves).abs().max()) < 0.15
    assert float(map_correlation(noise(), TRUTHS).abs().max()) < 5 / BOX**1.5
    assert float(gains(noise()).max()) < 0
    base = particle_curves(consensus(), TRUTHS, MASK)
    expected = gain(torch.zeros_like(base), base)
    assert float((gains(noise()) - expected).mean() / expected.mean()) == pytest.approx(0, abs=0.15)
    assert fsccc_distance(fsccc(noise()), fsccc(TRUTHS)).share > 1


def test_shuffled_maps_score_below_the_consensus():
    """Another particle's true map is a fine map of the molecule and knows less about this particle than the mean."""
    shuffled = TRUTHS[ORDER]
    assert float(gains(shuffled).mean()) < 0
    assert fsccc_distance(fsccc(shuffled), fsccc(TRUTHS)).found > 0
    assert fsccc_distance(fsccc(shuffled), fsccc(TRUTHS)[ORDER][:, ORDER]).found < 1e-6
    assert conformational_resolution(shuffled, PIXEL, MASK).split == pytest.approx(
        conformational_resolution(TRUTHS, PIXEL, MASK).split
    )


def test_a_rigid_molecule_has_nothing_to_gain():
    """Where the truth does not move there is no gain to speak of, no distance to compare, and one state."""
    rigid = TRUTHS[:1].expand_as(TRUTHS)
    curves = particle_curves(rigid, rigid, MASK)
    assert torch.isnan(gain(particle_curves(noise(), rigid, MASK), curves)).all()
    assert math.isnan(fsccc_distance(fsccc(noise()), fsccc(rigid)).share)
    halves = rigid + 0.3 * rigid.std() * torch.stack([noise(2), noise(3)])
    assert conformational_resolution(halves[0], PIXEL, MASK, others=halves[1]).states.max() == 1


def test_motion_is_seen_through_noise():
    """A third of that noise on the molecule that moves: several states, no more and no coarser than without."""
    clean = conformational_resolution(TRUTHS, PIXEL, MASK)
    halves = TRUTHS + 0.1 * TRUTHS.std() * torch.stack([noise(2), noise(3)])
    found = conformational_resolution(halves[0], PIXEL, MASK, others=halves[1])
    assert 1 < found.states[-1] <= clean.states[-1]
    assert found.split <= clean.split
