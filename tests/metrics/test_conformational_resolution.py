"""States told apart: families built shell by shell, the whole tree by brute force, and what knows nothing."""

import math

import numpy as np
import pytest
import torch

from hypermol.errors import DataError
from hypermol.metrics import conformational_resolution, fsc

BOX, PIXEL = 24, 2.0


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def radius():
    k = torch.fft.fftfreq(BOX, 1 / BOX, dtype=torch.float64)
    return torch.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)


def band(map_, low, high):
    inside = (radius() >= low - 0.5) & (radius() < high - 0.5)
    return torch.fft.ifftn(torch.fft.fftn(map_) * inside).real


def nested():
    """Six maps: all alike below shell 4, two kinds from shell 4, three kinds from shell 8; copies within a kind."""
    common = band(noise(BOX, BOX, BOX), 0, 4)
    middle = [band(m, 4, 8) for m in noise(2, BOX, BOX, BOX, seed=1)]
    fine = [band(m, 8, 13) for m in noise(3, BOX, BOX, BOX, seed=2)]
    kinds = [common + middle[0] + fine[0], common + middle[0] + fine[1], common + middle[1] + fine[2]]
    return torch.stack([kinds[i] for i in (0, 1, 2, 0, 1, 2)])


def test_a_nested_family():
    found = conformational_resolution(nested(), PIXEL)
    np.testing.assert_array_equal(found.states, [1] * 4 + [2] * 4 + [3] * 4)
    assert found.split == pytest.approx(BOX * PIXEL / 4)
    assert [found.states_at(a) for a in (100.0, 12.0, 7.0, 6.0, 4.1)] == [1, 2, 2, 3, 3]
    np.testing.assert_array_equal(found.labels(100.0), [0] * 6)
    np.testing.assert_array_equal(found.labels(8.0), [0, 0, 1, 0, 0, 1])
    np.testing.assert_array_equal(found.labels(5.0), [0, 1, 2, 0, 1, 2])


def test_every_pair_within_a_cluster_is_alike():
    """Along a line of maps, by loops: no two maps of a cluster are told apart, and clusters only ever split."""
    moving, rigid = noise(2, BOX, BOX, BOX, seed=3), noise(BOX, BOX, BOX, seed=4)
    rigid = torch.fft.ifftn(torch.fft.fftn(rigid) * 3 * torch.exp(-radius() / 4)).real
    angles = np.linspace(0, np.pi, 9)
    maps = torch.stack([rigid + np.cos(a) * moving[0] + np.sin(a) * moving[1] for a in angles])
    found = conformational_resolution(maps, PIXEL)
    assert (np.diff(found.states) >= 0).all()
    assert 2 < found.states[-1] < 9
    before = np.zeros(9, dtype=int)
    for shell in range(2, BOX // 2):
        labels = found.labels(BOX * PIXEL / shell)
        assert len(set(labels)) == found.states[shell]
        assert len(set(zip(labels, before))) == found.states[shell]
        for i in range(9):
            for j in range(i):
                lowest = float(fsc(maps[i], maps[j])[: shell + 1].min())
                assert labels[i] != labels[j] or lowest >= 0.5 - 1e-9
        before = labels


def test_a_limit_stops_the_tree():
    assert conformational_resolution(nested(), PIXEL, limit=BOX * PIXEL / 6).states.max() == 2
    assert conformational_resolution(nested(), PIXEL, limit=20.0).split == math.inf


def test_the_consensus_and_a_rigid_molecule_have_one_state():
    one = nested().mean(0).expand(6, -1, -1, -1).float()
    for found in (conformational_resolution(one, PIXEL), conformational_resolution(one, PIXEL, others=one)):
        assert (found.states == 1).all()
        assert found.split == math.inf
    assert (conformational_resolution(one[:1], PIXEL).states == 1).all()
    np.testing.assert_array_equal(conformational_resolution(one[:1], PIXEL).labels(4.1), [0])


def test_rounding_beyond_a_band_is_no_state():
    common = band(noise(BOX, BOX, BOX), 0, 5)
    smooth = torch.stack([common + 0.01 * band(m, 0, 5) for m in noise(4, BOX, BOX, BOX, seed=4)])
    assert (conformational_resolution(smooth.float(), PIXEL).states == 1).all()


def test_noise_is_no_state_where_halves_are_given():
    """Alone, maps of noise all differ; beside independent halves, nothing can be told apart, in 10 draws."""
    assert conformational_resolution(noise(8, BOX, BOX, BOX), PIXEL).states[-1] == 8
    for seed in range(10):
        halves = noise(2, 8, BOX, BOX, BOX, seed=seed)
        assert conformational_resolution(halves[0], PIXEL, others=halves[1]).states.max() == 1
        rigid = halves + 2 * band(noise(BOX, BOX, BOX, seed=50), 0, 6)
        assert conformational_resolution(rigid[0], PIXEL, others=rigid[1]).states.max() == 1


def test_states_seen_through_noise():
    halves = nested() + 0.3 * noise(2, 6, BOX, BOX, BOX, seed=5)
    found = conformational_resolution(halves[0], PIXEL, others=halves[1])
    assert found.states[-1] == 3
    assert found.split == pytest.approx(BOX * PIXEL / 4)


def test_refusals():
    with pytest.raises(DataError, match="at least one map"):
        conformational_resolution(noise(0, 8, 8, 8), PIXEL)
    with pytest.raises((DataError, TypeError)):
        conformational_resolution(noise(3, 8, 8, 8), PIXEL, others=noise(2, 8, 8, 8))
