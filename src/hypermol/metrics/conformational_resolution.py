"""How many states can be told apart at k Å: hierarchical clustering of maps by FSC at each resolution.

Proposed by Donnat et al. 2022 (§4.1.2): maps in one cluster cannot be told apart at k, maps in different clusters
differ at k. Two maps are told apart at a shell if their FSC has fallen below a threshold there or before, so the shell
of a pair's first fall is its similarity; complete linkage on it gives one tree, cut at each shell.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hypermol.errors import DataError
from hypermol.metrics.half_shells import half_shells
from hypermol.metrics.shell_products import pairwise_fsc, shell_products
from hypermol.shapes import Float, Int

_SIGMAS = 3.0
_ROUNDING = 1e-12  # of a map's power: below that a shell of a float32 transform is rounding


@dataclass(frozen=True)
class ConformationalResolution:
    """States per shell (1: nothing told apart, n: every map), shells in Å (shell 0: infinite), and the tree.

    ``split`` is the one number: the coarsest resolution (Å) at which there are two states or more; infinite where there
    never are. ``labels(Å)`` are the clusters of the maps at a resolution.
    """

    states: Int[np.ndarray, " s"]
    angstrom: Float[np.ndarray, " s"]
    split: float
    similarity: Float[np.ndarray, "n n"]

    def states_at(self, angstrom: float) -> int:
        """States told apart at a resolution (Å), from the shells no finer than it."""
        return int(self.states[np.flatnonzero(self.angstrom >= angstrom * (1 - 1e-9))[-1]])

    def labels(self, angstrom: float) -> Int[np.ndarray, " n"]:
        """Cluster 0, 1, … of each map at a resolution (Å), numbered by their first maps."""
        from scipy.cluster.hierarchy import fcluster

        shell = int(np.flatnonzero(self.angstrom >= angstrom * (1 - 1e-9))[-1])
        if len(self.similarity) == 1:
            return np.zeros(1, dtype=np.int64)
        found = fcluster(_tree(self.similarity), _height(self.similarity, shell), criterion="distance")
        _, first, member = np.unique(found, return_index=True, return_inverse=True)
        return np.argsort(np.argsort(first))[member]


def conformational_resolution(
    maps: Float[Tensor, "n d d d"],
    pixel_size: float,
    mask: Float[Tensor, "d d d"] | None = None,
    threshold: float = 0.5,
    others: Float[Tensor, "n d d d"] | None = None,
    limit: float | None = None,
) -> ConformationalResolution:
    """Count the states that can be told apart among n maps of particles or states, at each shell's resolution.

    maps: taken as free of noise unless ``others``, maps of the same particles from independent data (the other half
    set), are given: then a pair counts as told apart only where the FSC across halves is, by three standard errors
    of what noise adds, below ``threshold`` times that of each map with its own other half, so that noise is no
    state. pixel_size: Å. ``limit`` (Å): nothing finer tells maps apart, as when the half maps' resolution is known.

    Among maps along a continuum the count is about its length in resolvable steps. Nothing learned (one map for all,
    or a rigid molecule): 1 state at every shell, ``split`` infinite. Raises DataError where there are no maps or
    ``others`` are not as many.
    """
    if len(maps) == 0:
        raise DataError("conformational resolution: expected at least one map")
    box = maps.shape[-1]
    apart = _apart(maps, mask, threshold) if others is None else _apart_beyond_noise(maps, others, mask, threshold)
    angstrom = np.concatenate([[math.inf], box * pixel_size / np.arange(1, box // 2)])
    if limit is not None:
        apart[torch.from_numpy(angstrom < limit * (1 - 1e-9)).to(apart.device)] = 1.0
    similarity = _first_fall(apart).cpu().numpy()
    states = np.ones(box // 2, dtype=np.int64)
    if len(maps) > 1:
        merges = _tree(similarity)[:, 2]
        states = np.array([1 + int((merges > _height(similarity, shell)).sum()) for shell in range(box // 2)])
    several = np.flatnonzero(states > 1)
    split = float(angstrom[several[0]]) if len(several) else math.inf
    return ConformationalResolution(states, angstrom, split, similarity)


def _apart(maps: Tensor, mask: Tensor | None, threshold: float) -> Tensor:
    """[s, n, n]: negative where two maps are told apart at a shell. A shell that holds only rounding tells nothing."""
    products = shell_products(maps, mask)
    power = products.diagonal(dim1=-2, dim2=-1)
    empty = power <= _ROUNDING * power.sum(0)
    apart = pairwise_fsc(products) - threshold
    return torch.where(empty[:, :, None] | empty[:, None, :], torch.ones_like(apart), apart)


def _apart_beyond_noise(maps: Tensor, others: Tensor, mask: Tensor | None, threshold: float) -> Tensor:
    if others.shape != maps.shape:
        raise DataError(
            f"conformational resolution: expected other maps {tuple(maps.shape)}, found {tuple(others.shape)}"
        )
    count, box = len(maps), maps.shape[-1]
    curves = pairwise_fsc(shell_products([*maps, *others], mask))
    across = curves[:, :count, count:]
    own = across.diagonal(dim1=-2, dim2=-1).clamp(min=0)
    shells = half_shells(box, maps.device)
    points = shells.total(torch.ones(box, box, box // 2, dtype=torch.float64, device=maps.device))
    share = 1.0 if mask is None else float(mask.double().sum()) / mask.numel()
    reproduced = (own[:, :, None] * own[:, None, :]).sqrt()
    # what noise adds to the FSC of two maps of which a share r is signal has variance (1 - r²) / points
    error = ((1 - reproduced.square()).clamp(min=0) / (points * share).clamp(min=1)[:, None, None]).sqrt()
    return (across + across.mT) / 2 + _SIGMAS * error - threshold * reproduced


def _first_fall(apart: Tensor) -> Tensor:
    """Shell (linear between shells) at which each pair is first told apart; D/2 where never, and on the diagonal."""
    count = apart.shape[0]
    fallen = apart[1:] < 0
    first = fallen.long().argmax(0) + 1
    now = apart.gather(0, first[None])[0]
    before = apart.gather(0, first[None] - 1)[0].clamp(min=0)
    crossing = first - 1 + (before / (before - now).clamp(min=1e-12)).clamp(1e-6, 1)
    never = ~fallen.any(0) | torch.eye(apart.shape[1], dtype=torch.bool, device=apart.device)
    return torch.where(never, torch.full_like(crossing, float(count)), crossing)


def _tree(similarity: np.ndarray) -> np.ndarray:
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    count = np.diagonal(similarity)[0]
    return linkage(squareform(count - similarity, checks=False), method="complete")


def _height(similarity: np.ndarray, shell: int) -> float:
    """Merges above this height join maps that are told apart at the shell: crossings at or before it."""
    return float(np.diagonal(similarity)[0] - shell - 1e-9)
