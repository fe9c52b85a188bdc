"""The price on what z tells of the pose: its features, its gradient, and that it drives pose out of z."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from hypermol.engine import State
from hypermol.engine.gradient import Adam, GradientStep, Outcome, initial_tensors
from hypermol.imaging import random_rotations
from hypermol.objectives.independence import PoseCritic, pose_functions, z_functions


def rotations(count: int, seed: int) -> torch.Tensor:
    return random_rotations(count, torch.Generator().manual_seed(seed))


def test_features_are_orthonormal_where_nothing_depends() -> None:
    features = pose_functions(rotations(200_000, 0).double())
    z = z_functions(torch.randn(200_000, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    for values in (features, z):
        assert float(values.mean(0).abs().max()) < 0.02
        torch.testing.assert_close(torch.cov(values.T), torch.eye(values.shape[1]).double(), atol=0.03, rtol=0)


def test_the_gradient_is_that_of_the_squared_mean() -> None:
    """Given the mean; and what is handed back for it is the sum over the particles."""
    rotation, z = rotations(50, 2).double(), torch.randn(50, 3, dtype=torch.float64, requires_grad=True)
    critic = PoseCritic(3, 7.0).double()
    mean = torch.einsum("bf,bg->fg", pose_functions(rotation), z_functions(z)) / 50
    wanted = torch.autograd.grad(7.0 * mean.square().sum() / 2, z, retain_graph=True)[0]
    critic.mean.copy_(mean.detach())
    charged, told = critic(rotation, z)
    torch.testing.assert_close(told / 50, mean.detach())
    torch.testing.assert_close(torch.autograd.grad(charged / 50, z)[0], wanted)


@pytest.mark.parametrize("weight", [0.0, 10.0])
def test_pose_leaves_z(weight: float) -> None:
    """An encoder that sees a signal and the view, asked for the signal and some of the view; through the engine."""
    rotation = rotations(512, 3)
    signal, view = torch.randn(512, 1, generator=torch.Generator().manual_seed(1)), pose_functions(rotation)[:, :1]
    model = Toy(weight)
    step = GradientStep(model, Adam(learning_rate=0.01)).step()
    state, batch = State(initial_tensors(model)), SimpleNamespace(particle=torch.arange(512), rotation=rotation)
    batch.seen = torch.cat([signal, view], 1)
    for _ in range(400):
        contribution = step.contribute(state, batch, None)
        state = step.apply(state, contribution.totals)
    with torch.no_grad():
        z = torch.nn.functional.linear(batch.seen, state.tensors["model.encoder.weight"])
    told = abs(np.corrcoef(z[:, 0], view[:, 0])[0, 1])
    assert told > 0.5 if weight == 0 else told < 0.2


class Toy(torch.nn.Module):
    def __init__(self, weight: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder, self.critic = torch.nn.Linear(2, 1, bias=False), PoseCritic(1, weight)

    def forward(self, batch: Any, draws: Any, rows: Any) -> Outcome:
        z = self.encoder(batch.seen)
        charged, told = self.critic(batch.rotation, z)
        wanted = 0.8 * batch.seen[:, :1] + 0.6 * batch.seen[:, 1:]
        return Outcome((z - wanted).square().sum() + charged, running={"critic.mean": told})
