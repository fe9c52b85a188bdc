"""Poses found by search against a coordinate network: sampled to a map once per cluster of z, searched as any map."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.engine import Draws, State
from hypermol.engine.gradient import PREFIX, table_rows
from hypermol.imaging import spacing_deg
from hypermol.kernels import volume_to_grid
from hypermol.methods.particle_images import smallest_box
from hypermol.poses import ScoredImages, SearchedPose, refine_poses, search_poses
from hypermol.posteriors import Hypotheses
from hypermol.shapes import Float
from hypermol.volumes import coarse_map

CENTRES = "centres"
FITTED = 10_000  # particles, at most, from which the centres are made
MARGIN = 2  # shells that are sampled beyond those compared


@dataclasses.dataclass(frozen=True)
class FieldSearch:
    """``known`` of a ``GradientStep``: rotation and shift of a batch's particles, under the present network.

    model: a ``Model``; pose: how to search; band: shells that are compared. The map that a particle is compared with is
    that at the centre of its cluster of z; centres stay the same for a pass (``clustered``).
    """

    model: Any
    pose: SearchedPose
    box: int
    band: int

    def __call__(self, state: State, batch: Any, draws: Draws) -> dict[str, Tensor]:
        """rotation [B, 3, 3], shift [B, 2 or 3] Å."""
        label, centres = self.clusters(state, batch, draws)

        def grid_of(cluster: int) -> Tensor:
            return self.grid(called(self.model.volume, state, "volume."), centres, cluster, label.device)

        return self.under(self.compared(state, batch), label, grid_of)

    def compared(self, state: State, batch: Any) -> Any:
        """The batch with all that counts as noise under the present network."""
        return batch if self.model.misfit is None else called(self.model.misfit, state, "misfit.")(batch)

    def under(self, batch: Any, label: Tensor, grid_of: Callable[[int], Tensor]) -> dict[str, Tensor]:
        """rotation [B, 3, 3], shift [B, 2 or 3] Å: each particle searched for against the map of its label [B]."""
        images = self.images(batch)
        rotation = torch.empty(batch.size, 3, 3, device=label.device)
        shift_px = torch.empty(batch.size, images.shift_dim, device=label.device)
        for cluster in label.unique().tolist():
            rows = torch.nonzero(label == cluster)[:, 0]
            found = self._searched(images.take(rows), grid_of(cluster))
            rotation[rows], shift_px[rows] = (part.to(rotation) for part in found)
        return {"rotation": rotation, "shift": shift_px * (batch.pixel_size * self.box / self.small)}

    @property
    def small(self) -> int:
        """The box in which images and maps are compared."""
        return smallest_box(self.band + MARGIN, self.box)

    def images(self, batch: Any) -> ScoredImages:
        """The images in that box."""
        return ScoredImages.of(batch).coarser(self.band, self.small)

    def grid(self, values: Callable[..., Any], centres: Tensor | None, cluster: int, device: torch.device) -> Tensor:
        """The Fourier grid in that box of a function ``values(k, z)`` at a centre of z."""
        z = None if centres is None else centres[cluster][None]
        return volume_to_grid(coarse_map(values, self.box, self.small, z, device))

    def _searched(self, images: ScoredImages, grid: Tensor) -> tuple[Tensor, Tensor]:
        levels = self.pose.levels(self.band)
        rotation, shift, _ = search_poses(images, grid, levels).first
        if self.pose.polish:
            step = spacing_deg(levels.last_order) / 2
            rotation, shift, _ = refine_poses(images, grid, rotation, shift, step, self.pose.polish)
        return rotation, shift

    def clusters(self, state: State, batch: Any, draws: Draws) -> tuple[Tensor, Tensor | None]:
        """The cluster of each particle [B], and the centres [K, d] (None where there is no z)."""
        z = self._z(state, batch, draws)
        if z is None:
            return torch.zeros(batch.size, dtype=torch.long, device=batch.images.device), None
        centres = state.tensors[CENTRES]
        return torch.cdist(z, centres).argmin(1), centres

    def _z(self, state: State, batch: Any, draws: Draws) -> Tensor | None:
        """z [B, d] as the gradient step that follows will have it, but for the pose by which an encoder centres images
        and turns them upright: that of the last search."""
        rows = table_rows(state, batch.particle, ("rotation", "shift", "z"))
        pose = self.model.pose(batch, draws, rows) if "rotation" in rows else Hypotheses()
        estimator = called(self.model.conformation, state, "conformation.")
        with torch.no_grad():
            found = estimator(batch, pose, draws, rows).z
        return None if found is None else found[:, 0]


def clustered(state: State, clusters: int, seed: int) -> State:
    """The state with centres of its particles' z: k-means of at most 10,000 of them; as it was where there is no z."""
    if "z" not in state.table:
        return state
    z = state.table["z"].float()
    centres = torch.from_numpy(k_means(z.cpu().numpy(), clusters, seed)).to(z)
    return State({**state.tensors, CENTRES: centres}, state.table, state.data)


def k_means(z: Float[np.ndarray, "n d"], clusters: int, seed: int) -> Float[np.ndarray, "k d"]:
    """Centres of at most ``clusters`` groups of points, fewer where some would be empty (Lloyd 1982)."""
    from scipy.cluster.vq import kmeans2

    draw = np.random.default_rng([seed, len(z), clusters])
    chosen = z if len(z) <= FITTED else z[np.sort(draw.choice(len(z), FITTED, replace=False))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of empty groups, which are left out
        centres, label = kmeans2(chosen.astype(np.float64), min(clusters, len(chosen)), minit="++", seed=draw)
    return centres[np.unique(label)].astype(np.float32)


def called(module: Any, state: State, name: str) -> Callable[..., Any]:
    """A part of the model with its parameters from the state."""
    lead = PREFIX + name
    tensors = {key.removeprefix(lead): value for key, value in state.tensors.items() if key.startswith(lead)}

    def call(*arguments: Any) -> Any:
        return torch.func.functional_call(module, tensors, arguments)

    return call
