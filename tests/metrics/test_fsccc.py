"""Pairwise FSC and the FSCCC matrix: the loop over pairs, mixtures, and the distance of what knows nothing."""

import math

import pytest
import torch

from hypermol.errors import DataError
from hypermol.maps import soft_sphere
from hypermol.metrics import fsc, fsc_mean, fsccc, fsccc_distance, pairwise_fsc, shares_of_ends, shell_products


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def family(count=5, box=16):
    """Maps that go in a straight line from one map to another."""
    a, b = noise(2, box, box, box)
    return torch.stack([(1 - t) * a + t * b for t in torch.linspace(0, 1, count)])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-6)])
def test_against_every_pair(dtype, tolerance):
    maps, mask = family().to(dtype), soft_sphere(16, 5.0, 2.0, dtype)
    curves, matrix = pairwise_fsc(shell_products(maps, mask)), fsccc(maps, mask)
    for i, a in enumerate(maps):
        for j, b in enumerate(maps):
            expected = fsc(a.double(), b.double(), mask.double())
            torch.testing.assert_close(curves[:, i, j], expected, atol=tolerance, rtol=0)
            assert float(matrix[i, j]) == pytest.approx(float(fsc_mean(expected)), abs=tolerance)


def test_mixtures_from_products():
    maps = noise(4, 12, 12, 12)
    products, a, b = shell_products(maps), noise(4, seed=5), noise(4, seed=6)
    cross = torch.einsum("i,sij,j->s", a, products, b)
    norm = torch.einsum("i,sij,j->s", a, products, a) * torch.einsum("i,sij,j->s", b, products, b)
    expected = fsc(torch.einsum("i,izyx->zyx", a, maps), torch.einsum("i,izyx->zyx", b, maps))
    torch.testing.assert_close((cross / norm.sqrt())[1:], expected[1:])


def test_truth_consensus_and_noise():
    """0 for the truth, 1 share for the consensus (all ones), worse for noise; not a number for a rigid molecule."""
    maps = family()
    true = fsccc(maps)
    consensus, random = fsccc(maps.mean(0).expand_as(maps)), fsccc(noise(5, 16, 16, 16, seed=9))
    torch.testing.assert_close(consensus, torch.ones(5, 5, dtype=torch.float64))
    assert fsccc_distance(true, true).found == 0
    assert fsccc_distance(consensus, true).share == pytest.approx(1.0)
    assert fsccc_distance(random, true).share > 1
    assert math.isnan(fsccc_distance(consensus, torch.ones_like(consensus)).share)


def test_distance_solved_by_hand():
    true, found = torch.tensor([[1.0, 0.5], [0.5, 1.0]]), torch.tensor([[1.0, 0.75], [0.75, 1.0]])
    distance = fsccc_distance(found, true)
    assert (distance.found, distance.all_ones, distance.share) == (0.25, 0.5, 0.5)


def test_refusals():
    with pytest.raises(DataError, match="at least one"):
        fsccc([])
    with pytest.raises(DataError, match="expected maps of"):
        fsccc([noise(8, 8, 8), noise(10, 10, 10)])
    with pytest.raises((DataError, TypeError)):
        fsccc_distance(torch.ones(2, 2), torch.ones(3, 3))
    with pytest.raises(DataError, match="two or more"):
        fsccc_distance(torch.ones(1, 1), torch.ones(1, 1))


def test_shares_of_ends():
    """Blocks of 25 and 70 % with one map between, as in figure 5b of the paper."""
    place = torch.tensor([0.0] * 5 + [0.5] + [1.0] * 14)
    matrix = 1 - 0.3 * (place[:, None] - place).abs()
    assert shares_of_ends(matrix) == pytest.approx((0.25, 0.7, 0.05))
    assert shares_of_ends(torch.ones(4, 4)) == (0, 0, 1)
    with pytest.raises(DataError):
        shares_of_ends(torch.ones(1, 1))
