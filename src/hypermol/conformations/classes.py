"""Posterior of the class of a particle, and of its contrast, under K maps: in closed form.

X = a C P V_c + noise, c with probability π_c, a ~ N(1, v). What an image says of a class is the power g_c of its
projection and its overlap b_c with it (``kernels.slice_separate``):

    -2 log p(X | a, c) = const - 2 a b_c + a² g_c,

Gaussian in a, so that a integrates out of each class exactly.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from hypermol.shapes import Float


@dataclasses.dataclass(frozen=True, eq=False)
class ClassPosterior:
    """probability [B, K] of each class; contrast [B, K] and its variance [B, K] in each; log_evidence [B]: of
    p(X) / p(X | no molecule). float64."""

    probability: Float[Tensor, "b k"]
    contrast: Float[Tensor, "b k"]
    contrast_variance: Float[Tensor, "b k"]
    log_evidence: Float[Tensor, " b"]

    def moments(self) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b k"]]:
        """E[a 1(c)] and E[a² 1(c)]: what an M-step needs."""
        squared = self.contrast**2 + self.contrast_variance
        return self.probability * self.contrast, self.probability * squared

    def mean_contrast(self) -> Float[Tensor, " b"]:
        """E[a], over the classes."""
        return (self.probability * self.contrast).sum(1)


def class_evidence(
    power: Float[Tensor, "b k"], overlap: Float[Tensor, "b k"], contrast_variance: float = 0.0
) -> Float[Tensor, "b k"]:
    """log p(X | c) / p(X | no molecule) of each class, a integrated out: ½ (b + 1/v)²/(g + 1/v) - 1/(2v) -
    ½ log(1 + v g); where v = 0, b - g/2."""
    power, overlap = power.double(), overlap.double()
    if contrast_variance == 0:
        return overlap - power / 2
    v = contrast_variance  # the same, without differences of large numbers
    return (overlap - power / 2 + v * overlap**2 / 2) / (1 + v * power) - torch.log1p(v * power) / 2


def class_posterior(
    power: Float[Tensor, "b k"],
    overlap: Float[Tensor, "b k"],
    weights: Float[Tensor, "*b k"],
    contrast_variance: float = 0.0,
) -> ClassPosterior:
    """The posterior of K classes with prior probabilities ``weights``, [K] or [B, K] (Scheres 2012, J. Mol. Biol. 415,
    eq. 8, with the poses known)."""
    power, overlap, v = power.double(), overlap.double(), contrast_variance
    joint = class_evidence(power, overlap, v) + weights.double().log()
    evidence = torch.logsumexp(joint, 1)
    contrast, spread = (1 + v * overlap) / (1 + v * power), v / (1 + v * power)
    return ClassPosterior((joint - evidence[:, None]).exp(), contrast, spread, evidence)
