import math

import pytest
import torch

from hypermol.engine.draws import Draws
from hypermol.imaging import Lattice, images_to_packed
from hypermol.metrics import sliced_wasserstein, wasserstein_1d
from hypermol.objectives import CriticView, Wasserstein, critic_box
from hypermol.objectives.simulated import noise


class Linear(torch.nn.Module):
    """D(x) = w·x, whose slope is |w| everywhere."""

    def __init__(self, weight):
        super().__init__()
        self.weight = torch.nn.Parameter(weight)

    def forward(self, images):
        return (images * self.weight).sum((1, 2))


def test_penalty_is_of_whole_images():
    """|∇D| of D(x) = w·x is |w| over all pixels: a critic with every derivative 1 pays (D - 1)², not nothing."""
    ones = Linear(torch.ones(8, 8))
    real, made, mix = torch.randn(3, 8, 8), torch.randn(3, 8, 8), torch.rand(3)
    judged = Wasserstein(penalty=2.0).judged(ones, real, made, mix)
    torch.testing.assert_close(judged.slope, torch.full((3,), 8.0))
    torch.testing.assert_close(judged.loss, 2.0 * 49.0 - judged.gap)
    torch.testing.assert_close(judged.gap, (real - made).sum((1, 2)))


def test_gradients_reach_the_critic_and_not_the_images():
    critic = Linear(torch.randn(8, 8))
    real = torch.randn(3, 8, 8, requires_grad=True)
    made = torch.randn(3, 8, 8, requires_grad=True)
    judged = Wasserstein().judged(critic, real, made, torch.rand(3))
    judged.loss.sum().backward()
    assert critic.weight.grad is not None
    assert real.grad is None
    assert made.grad is None


def test_best_linear_critic_measures_the_distance_of_two_shifted_distributions():
    """Real images are made ones plus a constant image s: the Wasserstein distance is |s|, reached by D(x) = s·x/|s|."""
    torch.manual_seed(0)
    apart = torch.randn(6, 6)
    critic = Linear(0.1 * torch.randn(6, 6))
    adam = torch.optim.Adam(critic.parameters(), lr=0.02)
    for _ in range(400):
        made = torch.randn(32, 6, 6)
        judged = Wasserstein(penalty=10.0).judged(critic, torch.randn(32, 6, 6) + apart, made, torch.rand(32))
        adam.zero_grad()
        judged.loss.mean().backward()
        adam.step()
    made = torch.randn(4000, 6, 6)
    gap = Wasserstein().judged(critic, made + apart, made, torch.rand(4000)).gap.mean()
    slope = float(critic.weight.detach().norm())
    assert float(gap) / slope == pytest.approx(float(apart.norm()), rel=0.05)
    # the penalty lets the slope pass 1 by |s| / 2λ
    assert slope == pytest.approx(1 + float(apart.norm()) / 20, rel=0.1)


@pytest.mark.parametrize(("band", "box"), [(3, 8), (5, 12), (7, 16), (7, 32), (15, 32)])
def test_noise_is_white_and_of_variance_one_in_the_critics_view(band, box):
    lattice = Lattice.disc(32).limit(band)
    draws = Draws(0, (0,), 4000, 0, 4000, torch.device("cpu"))
    batch = type("Batch", (), {"images": torch.zeros(4000, 1, lattice.size), "lattice": lattice})()
    sigma = torch.linspace(1, 5, lattice.size)
    made = noise(batch, draws)[:, 0] * sigma
    seen = CriticView(lattice, box)(made, sigma.square().expand(4000, -1))
    assert seen.shape == (4000, box, box)
    assert float(seen.var()) == pytest.approx(1.0, rel=0.02)
    assert float(seen.mean()) == pytest.approx(0.0, abs=1e-3)  # shell 0 is left out


def test_made_noise_is_that_of_white_images():
    """Second moments at every packed point, against transforms of white images."""
    lattice = Lattice.disc(12)
    draws = Draws(3, (1,), 20000, 0, 20000, torch.device("cpu"))
    batch = type("Batch", (), {"images": torch.zeros(20000, 1, lattice.size), "lattice": lattice})()
    made = noise(batch, draws)[:, 0]
    outside = images_to_packed(torch.randn(20000, 12, 12), lattice) / 12
    for part in (torch.real, torch.imag):
        torch.testing.assert_close(part(made).var(0), part(outside).var(0), atol=0.03, rtol=0.05)


def test_the_view_is_a_small_picture_of_the_image():
    """A band-limited image in a smaller box: the same values at the pixels that both have."""
    lattice = Lattice.disc(32).limit(5)
    image = torch.zeros(1, 32, 32)
    image[0, 12, 20] = 1.0
    packed = images_to_packed(image, Lattice.disc(32))[:, : lattice.size]
    flat = torch.ones(1, lattice.size)
    large, small = CriticView(lattice, 32)(packed, flat), CriticView(lattice, 16)(packed, flat)
    torch.testing.assert_close(small, large[:, ::2, ::2], atol=1e-5, rtol=1e-4)


def test_boxes_hold_their_band():
    for band in range(2, 16):
        box = critic_box(band, 32)
        assert box % 4 == 0
        assert band <= box // 2 - 1
    assert critic_box(15, 32) == 32
    assert critic_box(7, 14) == 14


def test_sliced_distance_is_the_mean_of_those_along_directions():
    torch.manual_seed(1)
    first, second, directions = torch.randn(50, 3), 1 + torch.randn(50, 3), torch.randn(3, 7)
    unit = directions / directions.norm(dim=0)
    each = [wasserstein_1d((first @ u).numpy(), (second @ u).numpy()) for u in unit.T]
    assert float(sliced_wasserstein(first, second, directions)) == pytest.approx(sum(each) / 7, rel=1e-5)
    assert float(sliced_wasserstein(first, first[torch.randperm(50)], directions)) == pytest.approx(0, abs=1e-6)
    assert math.isfinite(float(sliced_wasserstein(first, 2 * first, directions)))
