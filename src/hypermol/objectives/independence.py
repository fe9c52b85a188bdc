"""A price on what z tells of the pose, which nothing else keeps out of it (Levy et al. 2022, section 5)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hypermol.shapes import Float

VIEW_FUNCTIONS, TURN_FUNCTIONS = 8, 4


class PoseCritic(nn.Module):
    """½ ‖E[f(R) φ(z)ᵀ]‖², f of the pose and φ of z orthonormal where they have nothing to do with each other: the sum
    of squared covariances, which is the Hilbert-Schmidt independence criterion of these features (Gretton et al. 2005).

    A squared mean is no sum over particles. Its gradient is, given the mean: each particle adds ⟨Λ, f φᵀ⟩, Λ a running
    mean over the steps before, which is part of the state. So results depend neither on the microbatch nor on the
    number of processes. Gradients reach z and not the pose.
    """

    def __init__(self, z_dim: int, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.register_buffer("mean", torch.zeros(VIEW_FUNCTIONS + TURN_FUNCTIONS, 2 * z_dim))

    def forward(self, rotation: Float[Tensor, "b 3 3"], z: Float[Tensor, "b d"]) -> tuple[Tensor, Tensor]:
        """What the particles add to the loss; and Σ f φᵀ, of which ``mean`` is to be the running mean."""
        mean: Any = self.mean
        told = torch.einsum("bf,bg->fg", pose_functions(rotation.detach().to(z)), z_functions(z))
        return self.weight * (told * mean).sum(), told.detach()


def pose_functions(rotation: Float[Tensor, "b 3 3"]) -> Float[Tensor, "b 12"]:
    """Spherical harmonics of degree 1 and 2 of the viewing direction; cos and sin of once and twice the in-plane angle.
    Mean 0 and covariance 1 over even poses."""
    x, y, z = rotation[:, 2].unbind(-1)
    first = 3**0.5 * torch.stack([x, y, z], 1)
    second = 15**0.5 * torch.stack([x * y, y * z, z * x, (x * x - y * y) / 2, (3 * z * z - 1) / 12**0.5], 1)
    angle = torch.atan2(rotation[:, 1, 2], -rotation[:, 0, 2])
    turns = [function(order * angle) for order in (1, 2) for function in (torch.cos, torch.sin)]
    return torch.cat([first, second, 2**0.5 * torch.stack(turns, 1)], 1)


def z_functions(z: Float[Tensor, "b d"]) -> Float[Tensor, "b g"]:
    """z and (z² - 1)/√2 of each coordinate: mean 0 and covariance 1 under N(0, 1)."""
    return torch.cat([z, (z.square() - 1) / 2**0.5], 1)
