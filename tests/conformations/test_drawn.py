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
