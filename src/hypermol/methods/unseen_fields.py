"""Unseen particles under a composition's decoder: z by its encoder, or by gradient where it has none; poses as given,
searched for, or from an encoder of its own. The decoder stays as it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from hypermol.engine import Draws, State
from hypermol.engine.gradient import install
from hypermol.errors import ConfigError
from hypermol.methods.field_search import FieldSearch, k_means
from hypermol.methods.unseen import Look, Unseen, need_z
from hypermol.methods.z_refinement import Posterior, log_likelihoods, refine
from hypermol.poses import SearchedPose
from hypermol.posteriors import Hypotheses, diagonal_covariance
from hypermol.specs import BuildContext

if TYPE_CHECKING:
    from hypermol.methods.composition import Composition, Model

STEPS = 100
"""Gradient steps for the z of a particle, and as many for its variance."""
CLUSTERS = 12
Rows = dict[str, Tensor]


def unseen_fields(method: Composition, state: State, context: BuildContext, known: Mapping[str, np.ndarray]) -> Unseen:
    """Raises ConfigError for a method that is told z."""
    if getattr(method.conformation, "z_from", "encoder") == "file":
        raise ConfigError(f"{method.name} is told z and infers none; train another method on these particles")
    model: Any = install(method.final.model(dataclasses.replace(context, autocast=False)), state)
    model = model.to(next(iter(state.tensors.values())).device).eval().requires_grad_(False)
    in_table = getattr(method.conformation, "z_from", "encoder") == "table"
    where: Callable[[Any, Draws], Rows] | None = None
    if hasattr(method.pose, "levels") and hasattr(model.pose, "encoder"):
        where = _near(method, model, context, known)
    elif isinstance(method.pose, SearchedPose):
        search = FieldSearch(model, method.pose, context.box, _last_band(method, context.box))
        z = need_z(known, method.name) if model.volume.z_dim else None
        where = _Searching(model, search, z, context.seed, in_table)
    left_out = ("rotation", "shift") if method.needs_poses else ()

    def look(state: State, batch: Any, draws: Draws) -> Rows:
        rows: Rows = {} if where is None else where(batch, draws)
        spread = None
        if in_table:
            rows["z"], spread = _by_gradient(model, batch, rows)
        with torch.no_grad():
            found = model(batch, draws, rows).rows
        if spread is not None:
            found["z_covariance"] = diagonal_covariance(spread)
        return {name: row for name, row in found.items() if name not in left_out}

    def refined(steps: int) -> Look:
        return _Refined(model, look, steps)

    return Unseen(look, model.volume, refined if model.volume.z_dim and not in_table else None)


@dataclasses.dataclass(frozen=True)
class _Refined:
    """What an encoder says, then gradient steps on the z of each particle: an encoder that was trained on few particles
    answers worse for others (the amortisation gap)."""

    model: Model
    look: Look
    steps: int

    def __call__(self, state: State, batch: Any, draws: Draws) -> Rows:
        found = self.look(state, batch, draws)
        fixed = _At(self.model, found)
        variance = found["z_covariance"].diagonal(dim1=-2, dim2=-1) if "z_covariance" in found else None
        better = refine(fixed, batch, Posterior(found["z"], variance), self.steps)
        with torch.no_grad():
            likely = log_likelihoods(fixed, batch, better.mean[:, None])[:, 0]
        found |= {"z": better.mean, "log_likelihood": likely}
        return found if better.variance is None else {**found, "z_covariance": diagonal_covariance(better.variance)}


def _near(
    method: Composition, model: Model, context: BuildContext, known: Mapping[str, np.ndarray]
) -> Callable[[Any, Draws], Rows]:
    """Poses searched for near what the run's encoder says, and the encoder's z."""
    from hypermol.methods.polishing import near_encoder

    search, where, centres = near_encoder(method, model, context), next(model.volume.parameters()).device, None
    if model.volume.z_dim:
        own = need_z(known, method.name).astype(np.float32)
        centres = torch.from_numpy(k_means(own, CLUSTERS, context.seed)).to(where)
    grid_of = cache(partial(search.search.grid, model.volume.values, centres, device=where))
    encoder: Any = model.pose.encoder

    def find(batch: Any, draws: Draws) -> Rows:
        with torch.no_grad():
            said = encoder(batch, draws, {})
        return search.near(said, model.compared(batch), centres, grid_of)

    return find


def _last_band(method: Composition, box: int) -> int:
    """The shells that the last search of the method compared."""
    found = [phase for phase in method.phases if hasattr(phase, "turns")]
    return int(found[-1].band(found[-1].turns, box)) if found else box // 2 - 1


class _At:
    """A decoder and poses that stay: what ``refine`` moves z under."""

    def __init__(self, model: Model, rows: Rows) -> None:
        self.model, self.rows, self.volume, self.compared = model, rows, model.volume, model.compared

    def pose(self, batch: Any, draws: Draws | None, rows: Rows) -> Hypotheses:
        """The poses that were found, or those given."""
        if "rotation" in self.rows:
            return _pose(self.rows)
        found: Hypotheses = self.model.pose(batch, draws, self.rows)
        return found


def _by_gradient(model: Model, batch: Any, rows: Rows) -> tuple[Tensor, Tensor]:
    """z [B, d] of the highest posterior, and the variance of the Gaussian there that bounds the evidence best."""
    fixed = _At(model, {name: row for name, row in rows.items() if name != "z"})
    start = rows.get("z", torch.zeros(batch.size, model.volume.z_dim, device=batch.images.device))
    point = refine(fixed, batch, Posterior(start), STEPS)
    wide = refine(fixed, batch, point.widened(), STEPS)
    return point.mean, wide.variance  # type: ignore[return-value]


class _Searching:
    """rotation, shift and z of particles: searched for against the map at the nearest of the run's clusters of z.

    An encoder says which that is, of the images as they are and again of the centred ones. One that wants them upright
    says it of poses found in the map at the centre nearest to the mean of all; so do, without any encoder, the images
    themselves: which centre explains them best.
    """

    def __init__(self, model: Model, search: FieldSearch, z: np.ndarray | None, seed: int, in_table: bool) -> None:
        self.model, self.search, self.in_table = model, search, in_table
        self.poses_first = in_table or getattr(model.conformation, "upright", False)
        where = next(model.volume.parameters()).device
        self.centres = None if z is None else torch.from_numpy(k_means(z.astype(np.float32), CLUSTERS, seed)).to(where)
        self.grid_of = cache(partial(search.grid, model.volume.values, self.centres, device=where))

    def __call__(self, batch: Any, draws: Draws) -> Rows:
        """Rows of a batch; z, a place to start from, where there is no encoder."""
        compared = self.model.compared(batch)
        if self.centres is None:
            return self.search.under(compared, torch.zeros_like(batch.half), self.grid_of)
        label = self._middle(batch) if self.poses_first else self._nearest(batch, draws, Hypotheses())
        found = self.search.under(compared, label, self.grid_of)
        again = self._likeliest(compared, found) if self.in_table else self._nearest(batch, draws, _pose(found))
        changed = torch.nonzero(again != label)[:, 0]
        if len(changed):
            better = self.search.under(compared.take(changed), again[changed], self.grid_of)
            for name, rows in better.items():
                found[name][changed] = rows
        return {**found, "z": self.centres[again]} if self.in_table else found

    def _middle(self, batch: Any) -> Tensor:
        """The centre nearest to the mean of all, for every particle."""
        centres: Any = self.centres
        return torch.cdist(centres.mean(0, keepdim=True), centres).argmin().expand(batch.size)

    def _nearest(self, batch: Any, draws: Draws, pose: Hypotheses) -> Tensor:
        with torch.no_grad():
            z = self.model.conformation(batch, pose, draws, {}).z
        return torch.cdist(z[:, 0].float(), self.centres).argmin(1)  # type: ignore[arg-type]

    def _likeliest(self, batch: Any, found: Rows) -> Tensor:
        """The centre whose map explains each particle best at the pose found."""
        images, unit = self.search.images(batch), batch.pixel_size * self.search.box / self.search.small
        pose = found["rotation"][:, None], found["shift"][:, None] / unit
        count = len(self.centres)  # type: ignore[arg-type]
        return torch.cat([images.log_likelihood(self.grid_of(c), *pose)[0] for c in range(count)], 1).argmax(1)


def _pose(found: Rows) -> Hypotheses:
    return Hypotheses(rotation=found["rotation"][:, None], shift=found["shift"][:, None])
