"""Wasserstein distance of real and made images, by a critic held to slopes of 1: WGAN with gradient penalty."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated

import torch
from torch import Tensor

from hypermol.shapes import Float
from hypermol.specs import Positive, register

Critic = Callable[[Tensor], Tensor]


@dataclasses.dataclass(frozen=True)
class Judged:
    """What a critic makes of a batch, one number per image. gap: D(real) - D(made), whose mean is the distance while
    slopes are near 1; slope: |∇D| between the two; loss: what the critic lowers."""

    loss: Float[Tensor, " n"]
    gap: Float[Tensor, " n"]
    slope: Float[Tensor, " n"]


@register("objective", "wasserstein")
@dataclasses.dataclass(frozen=True)
class Wasserstein:
    """max over D of E D(real) - E D(made), minimised over the maker (Arjovsky et al. 2017; Gupta et al. 2020, eq. 5),
    with λ (|∇D| - 1)² at random points between a real and a made image (Gulrajani et al. 2017, algorithm 1).

    |∇D| is the norm over all pixels of one image: a critic is 1-Lipschitz in the distance of images. CryoGAN's public
    code takes the norm along an axis of length one, so each *pixel's* derivative is drawn to ±1: then |∇D| is drawn to
    the number of pixels along an edge, a critic must depend on every pixel whether the molecule reaches there or not,
    and the weight (0.001-0.01 there) means another thing in another box.
    """

    penalty: Annotated[Positive, "weight of the gradient penalty, per image (Gulrajani et al. 2017: 10)"] = 10.0

    words = "Wasserstein distance of image distributions, by a critic"

    def judged(
        self, critic: Critic, real: Float[Tensor, "n d d"], made: Float[Tensor, "n d d"], mix: Float[Tensor, " n"]
    ) -> Judged:
        """Of real and made images, in pairs mixed by ``mix`` (0 to 1). Gradients reach the critic, not the images."""
        real, made = real.detach(), made.detach()
        between = (made + mix[:, None, None] * (real - made)).requires_grad_()
        of_real, of_made = critic(torch.cat([real, made])).chunk(2)
        (derivative,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        slope = derivative.flatten(1).norm(dim=1)
        gap = of_real - of_made
        return Judged(self.penalty * (slope - 1).square() - gap, gap.detach(), slope.detach())

    def maker_loss(self, critic: Critic, made: Float[Tensor, "n d d"]) -> Float[Tensor, " n"]:
        """-D(made): what the maker lowers."""
        return -critic(made)
