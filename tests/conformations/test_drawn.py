"""z drawn from a prior: even draws cover it."""

import pytest
import torch

from hypermol.conformations import DrawnConformation
from hypermol.engine import Draws


@pytest.mark.parametrize("batch", [0, 1])
def test_even_z_lie_one_in_each_equal_share(batch):
    draws = Draws(3, (0, 0, batch), 8, 0, 8, torch.device("cpu"))
    z = DrawnConformation(z_dim=2).build(None).evenly(16, draws)
    assert z.shape == (16, 2)
    for column in z.T:
        assert ((16 * column).floor().sort().values == torch.arange(16)).all()
    assert not torch.equal(z[:, 0], z[:, 1])
    normal = DrawnConformation(z_dim=2, distribution="normal").build(None).evenly(16, draws)
    torch.testing.assert_close(0.5 * (1 + torch.erf(normal / 2**0.5)), z, atol=1e-5, rtol=1e-4)


def drawn(count, batch=0, **settings):
    draws = Draws(3, (0, 0, batch), count, 0, count, torch.device("cpu"))
    return DrawnConformation(**settings).build(None)(None, None, draws, {}).z[:, 0]


def test_the_z_of_a_batch_lie_at_even_steps():
    z = drawn(64, shared=8)
    torch.testing.assert_close(z[::8].sort(0).values.diff(dim=0), torch.full((7, 1), 1 / 8))
    assert torch.equal(z[0::8], z[7::8])
    assert not torch.equal(z, drawn(64, batch=1, shared=8))
    loose = drawn(64, shared=8, spread=False)[::8]
    assert ((8 * loose).floor().sort(0).values.flatten() != torch.arange(8)).any()


@pytest.mark.parametrize("spread", [True, False])
def test_over_many_batches_z_have_their_prior(spread):
    """Also jointly: every cell of a 4 x 4 grid as often as every other."""
    z = torch.cat([drawn(4, batch, z_dim=2, shared=1, spread=spread) for batch in range(800)])
    cell = (4 * z).floor().long()
    counts = torch.bincount(cell[:, 0] * 4 + cell[:, 1], minlength=16)
    assert abs(counts - 200).max() < 60


def test_images_that_are_no_multiple_of_those_that_share_a_z_have_the_prior_too():
    z = torch.cat([drawn(12, batch, shared=8) for batch in range(400)])
    assert abs(float((z < 0.5).double().mean()) - 0.5) < 0.02


def test_parts_of_a_batch_have_the_prior_too():
    draws = [Draws(3, (0, 0, batch), 32, 0, 64, torch.device("cpu")) for batch in range(100)]
    prior = DrawnConformation(shared=8).build(None)
    means = torch.stack([prior(None, None, one.part(0, 32), {}).z.mean() for one in draws])
    assert abs(float(means.mean()) - 0.5) < 0.05
