"""The score of reproduction on maps whose answer is known, both ways."""

import pytest
import torch

from hypermol.imaging import fft3, ifft3
from hypermol.metrics import fsc, shell_numbers
from hypermol.validation import reproduction
from hypermol.validation.octahedral import turned_copies
from hypermol.validation.reproduction import REAL, reach

BOX = 24


def noise(seed: int, count: int = 1, slope: float = 1.0) -> torch.Tensor:
    """Maps of Gaussian noise whose amplitude falls with frequency."""
    maps = torch.randn(count, BOX, BOX, BOX, generator=torch.Generator().manual_seed(seed))
    return ifft3(fft3(maps) / (1 + shell_numbers(BOX).float()) ** slope).real


def test_a_shared_change_is_found_among_mixed_axes():
    """Two halves hold one common change, each in a mixture of its own; the mixtures are undone."""
    signal, turn = noise(0)[0], torch.tensor([[0.6, 0.8], [-0.8, 0.6]])
    one = torch.stack([signal, torch.zeros_like(signal)]) + 0.7 * noise(1, 2)
    two = torch.einsum("ab,bzyx->azyx", turn, torch.stack([signal, torch.zeros_like(signal)]) + 0.7 * noise(2, 2))
    found = reproduction(one, two, 2.0)
    assert found.significance[0] > 4 * REAL
    assert found.significance[1] < REAL
    torch.testing.assert_close(found.first[:, 0].abs(), torch.tensor([1.0, 0.0]), atol=0.1, rtol=0)
    torch.testing.assert_close(found.second[:, 0].abs(), torch.tensor([0.6, 0.8]), atol=0.1, rtol=0)
    expected = 1 / (1 + 0.7**2)  # signal and noise have the same spectrum
    assert float(found.curve[0, 3:].mean()) == pytest.approx(expected, abs=0.08)
    assert found.resolution[0] == pytest.approx(2 * BOX / (BOX / 2 - 1), abs=0.01)


def test_unrelated_changes_are_not_real():
    """25 pairs of unrelated sets of three: none passes, and the score behaves like the largest of several sums."""
    scores = [float(reproduction(noise(10 + s, 3), noise(500 + s, 3), 2.0).significance[0]) for s in range(25)]
    assert max(scores) < REAL
    assert -0.7 < sum(scores) / len(scores) < 0.7


def test_what_is_round_is_chance():
    """A common change that looks the same from all sides is what turned copies show too."""
    axis = torch.arange(BOX) - BOX // 2
    ball = torch.exp(-(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2) / 18.0)
    found = reproduction(10 * ball + noise(1), 10 * ball + noise(2), 2.0)
    assert float(found.curve[0, 1]) > 0.9
    assert found.significance[0] < REAL


def test_given_directions_are_kept():
    one, two = noise(1, 2), noise(2, 2)
    ways = torch.eye(2)[:, :1], torch.eye(2)[:, 1:]
    found = reproduction(one, two, 2.0, ways)
    torch.testing.assert_close(found.changes[:, 0], torch.stack([one[0], two[1]]))


def test_a_large_box_is_cropped_for_the_score():
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 1, 72, 72, 72, generator=generator)
    found = reproduction(maps[0], maps[0] + maps[1], 1.0)
    assert found.significance[0] > REAL
    assert found.curve.shape == (1, 36)


def test_turned_copies_are_the_cube_s_other_positions():
    map_ = noise(0)[0]
    map_[0], map_[:, 0], map_[:, :, 0] = 0, 0, 0
    copies = list(turned_copies(map_))
    assert len(copies) == 47
    everything = torch.stack([map_, *copies]).flatten(1)
    assert len(torch.unique(everything, dim=0)) == 48
    torch.testing.assert_close(everything.norm(dim=1), everything.norm(dim=1)[:1].expand(48))
    axis = torch.exp(-((torch.arange(BOX) - BOX // 2) ** 2) / 9.0)
    ball = (axis[:, None, None] * axis[:, None] * axis).double()
    for copy in turned_copies(ball):
        torch.testing.assert_close(fsc(copy, ball)[:8], torch.ones(8, dtype=torch.float64))


def test_reach_of_curves_by_hand():
    ones, fall = torch.ones(16), torch.linspace(1, -0.5, 16)
    assert reach(ones, 3.0) == pytest.approx(32 * 3.0 / 15)
    # a straight line is left as it is by ¼ ½ ¼: it crosses at shell (1 - 0.143)/0.1
    assert reach(fall, 3.0) == pytest.approx(32 * 3.0 / 8.57)
    assert reach(torch.zeros(16), 3.0) == float("inf")
    faint = torch.ones(16)
    faint[1] = 0.0  # faint in the innermost shell only
    assert reach(faint, 3.0) == pytest.approx(32 * 3.0 / 15)
    late = torch.zeros(16)
    late[8:] = 1.0  # above the threshold only where nothing coarser is
    assert reach(late, 3.0) == float("inf")
