"""Maps from back-projected sums: half maps without a prior, and the Wiener-filtered map with one.

The nodes of a grid oversampled o times are dependent: a coefficient of the D box has the information of the o³
nodes around it. With H = Σ C²/σ² per node (trilinear weights), an unregularised map has noise variance
1/(o³ H) per coefficient of the D box, so the posterior mean under V(k) ~ N(0, τ²) is

    V = o³ N / (o³ H + 1/τ²) = N / (H + 1/(o³ τ²)).

N/H averages over the triangle of each node, which multiplies real space by sinc²: divided out once, at the end.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from hypermol.kernels import grid_to_volume
from hypermol.maps import filtered
from hypermol.reconstruction.accumulators import Accumulators
from hypermol.reconstruction.shells import Profile, profile_volume, shell_means, slabs
from hypermol.reconstruction.support import signal_to_noise
from hypermol.shapes import Float

EMPTY_FRACTION = 0.1
"""Nodes with less than this fraction of their shell's mean weight count as nearly empty."""


def half_map(sums: Accumulators, half: int) -> Float[Tensor, "d d d"]:
    """Unfiltered map of one half, float32: N / max(H, ε), ε = ``EMPTY_FRACTION`` of the shell's mean weight.

    Well-filled nodes are untouched; nearly empty ones are damped, not amplified.
    """
    floor, numerator, weight = _floor(sums, half), sums.numerator(half), sums.weight(half)
    grid = torch.zeros(sums.shape, dtype=torch.complex64, device=sums.data.device)
    for slab in slabs(sums.box, sums.oversampling):
        bound = floor[slab]
        grid[slab] = _ratio(numerator[slab], torch.maximum(weight[slab], bound) * (bound > 0))
    return grid_to_volume(grid[..., None], sums.box)


def signal_power(sums: Accumulators, fsc: Float[Tensor, " s"]) -> Float[Tensor, " s"]:
    """τ² = E|V(k)|² of each shell from the FSC between the unfiltered half maps, [D/2] float64.

    A half map has signal g²τ² and noise n = H/(o³ max(H, ε)²) where g = H / max(H, ε), so that
    FSC/(1 - FSC) = τ² ⟨g²⟩/⟨n⟩ over the shell; n and g² are averaged over the halves. A wrong scale of σ²
    cancels in the product H τ². The FSC is smoothed over three shells and limited to 0.001 … 0.999.
    """
    noise, gain = shell_means(_transfer(sums), sums.box, sums.oversampling) / 2
    return signal_to_noise(fsc).to(noise) * noise / gain.clamp(min=1e-30)


def weighted_map(sums: Accumulators, power: Float[Tensor, " s"]) -> Float[Tensor, "d d d"]:
    """All images in one map, float32 [D, D, D]: within each shell the posterior mean, well-measured directions damped
    less than others, but the mean gain of each shell set to one. The radial part of the filter is left for real
    space to come first: noise at the edge of the box, or of a mask, leaks from strong shells into damped ones.
    """
    box, oversampling = sums.box, sums.oversampling
    prior, gain = (Profile.of(profile, box, oversampling) for profile in _prior_and_gain(sums, power))
    grid = torch.zeros(sums.shape, dtype=torch.complex64, device=sums.data.device)
    for slab in slabs(box, oversampling):
        numerator = sums.numerator(0)[slab] + sums.numerator(1)[slab]
        weight = sums.weight(0)[slab] + sums.weight(1)[slab]
        grid[slab] = _ratio(numerator, (weight + prior[slab]) * gain[slab])
    return grid_to_volume(grid[..., None], box)


def wiener_map(sums: Accumulators, power: Float[Tensor, " s"]) -> Float[Tensor, "d d d"]:
    """Posterior mean of the map from both halves under V(k) ~ N(0, ``power``(|k|)), float32 [D, D, D].

    Where all nodes of a shell are alike its gain is 2F/(1 + F), F the FSC between halves (Rosenthal & Henderson
    2003, J. Mol. Biol. 333, appendix).
    """
    gain = _prior_and_gain(sums, power)[1]
    return filtered(weighted_map(sums, power), profile_volume(gain, sums.box))


def _prior_and_gain(sums: Accumulators, power: Tensor) -> tuple[Tensor, Tensor]:
    """Per shell: 1/(o³τ²), and the mean gain H̄/(H̄ + 1/(o³τ²))."""
    prior = 1 / (sums.oversampling**3 * power.clamp(min=1e-30))
    mean = sums.mean_weight.sum(0)
    return prior, mean / (mean + prior)


def _transfer(sums: Accumulators) -> Callable[[slice], Tensor]:
    """Slab by slab: noise variance and squared gain of the signal of the half maps, summed over both, [2, z, y, x]."""
    floors = _floor(sums, 0), _floor(sums, 1)

    def of(slab: slice) -> Tensor:
        weight = torch.stack([sums.weight(0)[slab], sums.weight(1)[slab]])
        raised = torch.maximum(weight, torch.stack([floor[slab] for floor in floors]))
        raised = torch.where(raised > 0, raised, 1.0)
        gain = weight / raised
        return torch.stack([(gain / raised).sum(0) / sums.oversampling**3, gain.square().sum(0)])

    return of


def _floor(sums: Accumulators, half: int) -> Profile:
    """ε."""
    return Profile.of(EMPTY_FRACTION * sums.mean_weight[half], sums.box, sums.oversampling)


def _ratio(numerator: Tensor, weight: Tensor) -> Tensor:
    """numerator / weight; 0 where there is no weight."""
    filled = weight > 0
    return torch.where(filled, numerator / torch.where(filled, weight, 1.0), 0.0)
