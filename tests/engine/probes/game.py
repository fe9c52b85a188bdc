"""An alternating game, critic × 5 and generator × 1: the generator's samples take on the data's mean and covariance.

A critic of quadratic functions, held by an L2 penalty, sees exactly the first two moments (a Wasserstein-type GAN whose
equilibrium is known).
"""

import torch
from harness import ArraySource
from torch import nn

from hypermol.engine import Adam, GradientStep, Outcome, Phase, Program, State, generator, initial_tensors

N, D = 2048, 2
MEAN = torch.tensor([0.7, -0.4], dtype=torch.float64)
ROOT = torch.tensor([[1.0, 0.0], [0.6, 0.5]], dtype=torch.float64)


def source():
    x = torch.randn(N, D, generator=generator(6, "data"), dtype=torch.float64)
    x = torch.linalg.solve_triangular(torch.linalg.cholesky(x.T @ x / N), x.T, upper=False).T
    return ArraySource({"x": MEAN + (x - x.mean(0)) @ ROOT.T})


class Game(nn.Module):
    """The same two players in both steps; ``sign`` says whose loss is asked for."""

    def __init__(self, sign):
        super().__init__()
        self.sign = sign
        self.critic = nn.ParameterDict({"linear": torch.zeros(D), "square": torch.zeros(D, D)}).double()
        self.generator = nn.ParameterDict({"mean": torch.zeros(D), "root": torch.eye(D)}).double()

    def score(self, x):
        return x @ self.critic["linear"] + ((x @ self.critic["square"]) * x).sum(1)

    def forward(self, batch, draws, rows):
        z = draws.normal("z", D, dtype=torch.float64)
        made = self.generator["mean"] + torch.cat([z, -z]) @ self.generator["root"].T
        gap = self.score(batch.x).sum() - self.score(made).sum() / 2
        held = sum(p.square().sum() for p in self.critic.values()) * len(batch.x)
        return Outcome(self.sign * gap + (held if self.sign < 0 else 0), {}, {"gap": gap.detach()})


def program():
    critic = GradientStep(Game(-1.0), Adam(0.05, beta1=0.5, beta2=0.9), moving=("critic",)).step(times=5)
    maker = GradientStep(Game(1.0), Adam(0.04, beta1=0.5, beta2=0.9), moving=("generator",)).step(times=1)
    phase = Phase("game", (critic, maker), passes=240, batch_size=1024)
    return Program(lambda: State(initial_tensors(Game(1.0))), (phase,))


def check(state):
    mean, root = state.tensors["model.generator.mean"], state.tensors["model.generator.root"]
    assert (mean - MEAN).abs().max() < 0.05
    assert (root @ root.T - ROOT @ ROOT.T).abs().max() < 0.1
