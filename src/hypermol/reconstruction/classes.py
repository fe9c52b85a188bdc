"""Maps of K classes from sums of images with shares in them, each shrunk towards what the classes have in common.

V_c = μ + D_c, μ(k) ~ N(0, τ_μ²), D_c(k) ~ N(0, τ_D²), each a function of |k|: a class of few images falls back on the
common map where its own images say nothing, not on an empty box. With N_c = Σ E[a 1(c)] w C X and
H_c = Σ E[a² 1(c)] w C² at a node, p = 1/(o³ τ_D²) and q = 1/(o³ τ_μ²) (o the oversampling: ``wiener``), the posterior
mean is, node by node,

    μ = Σ e_c N_c / (Σ e_c H_c + q),  e_c = p / (H_c + p),     V_c = (N_c + p μ) / (H_c + p).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hypermol.kernels import grid_shape, grid_to_volumes, insert_separate, symmetrise_separate
from hypermol.reconstruction.insertion import Insertion
from hypermol.reconstruction.shells import Profile, shell_means, slabs
from hypermol.reconstruction.support import signal_to_noise
from hypermol.shapes import Float

NEGLIGIBLE = 1e-4
"""Shares of an image below this are left out of the sums of a class (the images' own noise is far above)."""
_LEAST = 1e-30


@dataclass(frozen=True, eq=False)
class ClassInsertion:
    """Images with their shares in C maps: an engine ``Deposit`` into the sums of both halves.

    images: n images of both halves; first [n, C] = E[a 1(c)], second [n, C] = E[a² 1(c)].
    """

    images: Insertion
    first: Float[Tensor, "n c"]
    second: Float[Tensor, "n c"]

    def finite(self) -> bool:
        """Whether every number in it is."""
        own = bool(torch.isfinite(self.first).all()) and bool(torch.isfinite(self.second).all())
        return own and self.images.finite()

    def add_to(self, total: Tensor | None) -> Tensor:
        """Add to ``total`` [2, oD, oD, oD/2 + 1, 3 C] float32, in place, or to new sums; and return it."""
        images, box, oversampling = self.images, self.images.lattice.box, self.images.oversampling
        if total is None:
            shape = (2, *grid_shape(box, oversampling), 3 * self.first.shape[1])
            total = torch.zeros(shape, dtype=torch.float32, device=self.first.device)
        part = self.second > NEGLIGIBLE
        insert_separate(
            images.numerator,
            images.weight,
            images.rotation,
            (self.first * part).float(),
            (self.second * part).float(),
            images.half,
            images.lattice.k,
            box,
            total,
            oversampling,
        )
        return total


@dataclass(frozen=True, eq=False)
class ClassSums:
    """Complete sums of one half or of both for K classes: records [oD, oD, oD/2 + 1, K, 3]. ``box``: D."""

    records: Float[Tensor, "z y x k f"]
    box: int
    oversampling: int = 2

    @staticmethod
    def completed(total: Float[Tensor, "h z y x f"], box: int, oversampling: int = 2) -> list[ClassSums]:
        """The sums of each half, their x = 0 planes made whole: in place, once."""
        for half in total:
            symmetrise_separate(half)
        return [ClassSums(half.unflatten(-1, (-1, 3)), box, oversampling) for half in total]

    def of(self, start: int, stop: int) -> ClassSums:
        """Those of the maps from ``start`` to ``stop`` alone."""
        return ClassSums(self.records[..., start:stop, :], self.box, self.oversampling)

    def plus(self, other: ClassSums) -> ClassSums:
        """Those of both together."""
        return ClassSums(self.records + other.records, self.box, self.oversampling)

    def noise(self) -> Float[Tensor, "k s"]:
        """Noise variance of an unregularised coefficient of the D box, per class and shell 0 … D/2 - 1: 1/(o³ H)."""
        weight = self.records[..., 2].movedim(-1, 0)
        means = shell_means(lambda slab: weight[:, slab], self.box, self.oversampling)
        return 1 / (self.oversampling**3 * means).clamp(min=_LEAST)

    def solve(
        self, common: Float[Tensor, " s"], difference: Float[Tensor, " s"]
    ) -> tuple[Float[Tensor, "d d d"], Float[Tensor, "k d d d"]]:
        """Posterior means μ and D_c under the priors τ_μ² = ``common`` and τ_D² = ``difference``, up to their last
        shell. With one class D is 0."""
        shape, classes = self.records.shape[:3], self.records.shape[3]
        mean = torch.zeros(*shape, 1, dtype=torch.complex64, device=self.records.device)
        steps = torch.zeros(*shape, classes, dtype=torch.complex64, device=self.records.device)
        q, p = (self._precision(power) for power in (common, difference))
        for slab in slabs(self.box, self.oversampling):
            records = self.records[slab]
            numerator = torch.view_as_complex(records[..., :2].contiguous())
            found = _node(numerator, records[..., 2], q[slab][..., None], p[slab][..., None])
            mean[slab], steps[slab] = found
        maps = [grid_to_volumes(steps[..., c : c + 1], self.box)[0] for c in range(classes)]
        return grid_to_volumes(mean, self.box)[0], torch.stack(maps)

    def _precision(self, power: Tensor) -> Profile:
        """1/(o³ τ²) by squared radius; 0 beyond the last shell, where nothing is solved."""
        return Profile.of(1 / (self.oversampling**3 * power.double().clamp(min=_LEAST)), self.box, self.oversampling)


def _node(numerator: Tensor, weight: Tensor, q: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    """μ [..., 1] and D [..., K] of nodes; those without a prior, beyond the last shell, are 0."""
    weight = weight.double()
    inside = (p > 0) & (weight.sum(-1, keepdim=True) > 0)
    p = torch.where(inside, p, 1.0)
    if weight.shape[-1] == 1:  # one class has nothing to differ from
        mean = numerator / (weight + torch.where(inside, q, 1.0))
        return torch.where(inside, mean, 0).to(torch.complex64), torch.zeros_like(numerator)
    common = p / (weight + p)
    mean = (common * numerator).sum(-1, keepdim=True) / ((common * weight).sum(-1, keepdim=True) + q).clamp(min=_LEAST)
    steps = (numerator - weight * mean) / (weight + p)
    return tuple(torch.where(inside, value, 0).to(torch.complex64) for value in (mean, steps))  # type: ignore[return-value]


def difference_power(
    curves: Float[Tensor, "k s"], noise: Float[Tensor, "k s"], power: Float[Tensor, " s"]
) -> Float[Tensor, " s"]:
    """τ_D² per shell from the FSC of each class's D between two halves, and the noise of a half's class map.

    The FSC of D_c gives its signal-to-noise ratio F/(1 - F). D_c = V_c - Σ w_j V_j, w_j the weight of class j in μ
    under the present ``power`` (w_j ∝ 1/(τ² + n_j)), has signal τ² [(1 - w_c)² + Σ_{j≠c} w_j²] and noise
    n_c (1 - w_c)² + Σ_{j≠c} n_j w_j². The classes' estimates are averaged with their precision (signal over noise).
    """
    classes = len(curves)
    if classes == 1:
        return torch.zeros_like(power)
    ratio = torch.stack([signal_to_noise(curve) for curve in curves])
    weight = 1 / (power + noise)
    weight = weight / weight.sum(0)
    mixing = torch.eye(classes, dtype=weight.dtype, device=weight.device)[..., None] - weight[None]  # [c, j, s]
    signal, spoiled = mixing.square().sum(1), (mixing.square() * noise[None]).sum(1)
    return ratio.sum(0) / (signal / spoiled).sum(0)
